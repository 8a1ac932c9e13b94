/* See confine.h. The filter runs through the table from its top, so what a request needs stands there, the rarest last; kernels since 5.11
 * know the unconditional rows by heart and don't run it at all for them.
 *
 * A new system call in base/sys.c needs a row here. The tests find it: they run with "sandbox": "kill". A program that
 * weir shall start some day (hand-over) is started by a process forked before confine(); rows for it would undo the whole. */
#include "base/confine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
    GATE = 1 << CONFINE_GATE,
    STORE = 1 << CONFINE_STORE,
    BOTH = GATE | STORE,
    KILLS = 0, /* for nobody, and the process ends in any mode */

    ANY = -1, /* whatever its arguments */

    /* linux/bpf_common.h, linux/filter.h, linux/seccomp.h, linux/audit.h, which musl does not bring */
    OP_LOAD = 0x20, OP_EQUAL = 0x15, OP_AND = 0x54, OP_RETURN = 0x06,
    AT_CALL = 0, AT_ARCH = 4, AT_ARGS = 16,
    SAY_ERRNO_ENOSYS = 0x00050000 + 38,
};
#define SAY_ALLOW 0x7fff0000u
#define SAY_KILL 0x80000000u

#if defined(__x86_64__)
#define ARCH 0xc000003eu
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCH 0xc00000b7u
#else
#define ARCH 0u /* not written down: no filter */
#endif

struct row {
    int call;
    short who;
    short arg; /* ANY, or: allowed when args[arg] & mask is value */
    unsigned mask, value;
};

static const struct row rows[] = {
/* each request and event */
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, GATE, ANY, 0, 0},
#endif
    {SYS_recvfrom, BOTH, ANY, 0, 0},
    {SYS_sendmsg, BOTH, ANY, 0, 0},
    {SYS_sendto, BOTH, ANY, 0, 0},
    {SYS_epoll_ctl, GATE, ANY, 0, 0},
    {SYS_epoll_pwait, GATE, ANY, 0, 0},
    {SYS_clock_gettime, BOTH, ANY, 0, 0}, /* answered without the kernel but for old ones and emulators */
    {SYS_write, BOTH, ANY, 0, 0},
    {SYS_madvise, BOTH, ANY, 0, 0},
    /* each connection */
    {SYS_close, BOTH, ANY, 0, 0},
    {SYS_accept4, GATE, ANY, 0, 0},
    {SYS_setsockopt, GATE, ANY, 0, 0},
    {SYS_socket, GATE, 0, ~0u, AF_INET},
    {SYS_socket, GATE, 0, ~0u, AF_INET6},
    {SYS_connect, GATE, ANY, 0, 0},
    {SYS_socketpair, GATE, 0, ~0u, AF_UNIX}, /* to the process that takes over */
    {SYS_getsockopt, GATE, ANY, 0, 0},
    {SYS_getsockname, GATE, ANY, 0, 0},
    {SYS_shutdown, GATE, ANY, 0, 0},
    {SYS_getrandom, BOTH, ANY, 0, 0},
    {SYS_bind, GATE, ANY, 0, 0}, /* the simulator, when a reload opens it */
    {SYS_listen, GATE, ANY, 0, 0},
    /* the store */
    {SYS_pwrite64, STORE, ANY, 0, 0},
    {SYS_fsync, STORE, ANY, 0, 0},
    {SYS_openat, STORE, ANY, 0, 0},
    {SYS_ftruncate, STORE, ANY, 0, 0},
    {SYS_renameat, STORE, ANY, 0, 0},
    {SYS_renameat2, STORE, ANY, 0, 0},
    {SYS_linkat, STORE, ANY, 0, 0},
    {SYS_unlinkat, STORE, ANY, 0, 0},
    {SYS_flock, BOTH, ANY, 0, 0},
    /* names, reloads, signals: files are read, or written at their end */
    {SYS_read, BOTH, ANY, 0, 0},
#ifdef SYS_open
    {SYS_open, GATE, 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
    {SYS_open, GATE, 1, O_ACCMODE | O_TRUNC | O_APPEND, O_WRONLY | O_APPEND},
    {SYS_stat, BOTH, ANY, 0, 0},
    {SYS_lstat, BOTH, ANY, 0, 0},
    {SYS_poll, BOTH, ANY, 0, 0},
#endif
    {SYS_openat, GATE, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
    {SYS_openat, GATE, 2, O_ACCMODE | O_TRUNC | O_APPEND, O_WRONLY | O_APPEND},
    {SYS_fstat, BOTH, ANY, 0, 0},
    {SYS_newfstatat, BOTH, ANY, 0, 0},
#ifdef SYS_statx
    {SYS_statx, BOTH, ANY, 0, 0},
#endif
    {SYS_lseek, BOTH, ANY, 0, 0},
    {SYS_fcntl, BOTH, ANY, 0, 0},
    {SYS_dup, BOTH, ANY, 0, 0},
    {SYS_ppoll, BOTH, ANY, 0, 0},
    {SYS_wait4, BOTH, ANY, 0, 0},
    /* memory: never code */
    {SYS_brk, BOTH, ANY, 0, 0},
    {SYS_mmap, BOTH, 2, PROT_EXEC, 0},
    {SYS_mprotect, BOTH, 2, PROT_EXEC, 0},
    {SYS_munmap, BOTH, ANY, 0, 0},
    {SYS_mremap, BOTH, ANY, 0, 0},
    {SYS_mlock, BOTH, ANY, 0, 0},
    {SYS_munlock, BOTH, ANY, 0, 0},
    /* the end, also a bad one */
    {SYS_exit_group, BOTH, ANY, 0, 0},
    {SYS_exit, BOTH, ANY, 0, 0},
    {SYS_rt_sigprocmask, BOTH, ANY, 0, 0},
    {SYS_rt_sigaction, BOTH, ANY, 0, 0},
    {SYS_rt_sigreturn, BOTH, ANY, 0, 0},
    {SYS_restart_syscall, BOTH, ANY, 0, 0}, /* after SIGSTOP and SIGCONT */
    {SYS_getpid, BOTH, ANY, 0, 0},
    {SYS_gettid, BOTH, ANY, 0, 0},
    {SYS_geteuid, BOTH, ANY, 0, 0},
    {SYS_tkill, BOTH, 1, ~0u, SIGABRT},
    {SYS_tgkill, BOTH, 2, ~0u, SIGABRT},
    /* whoever asks for these is not weir */
    {SYS_execve, KILLS, ANY, 0, 0},
    {SYS_execveat, KILLS, ANY, 0, 0},
    {SYS_clone, KILLS, ANY, 0, 0},
#ifdef SYS_clone3
    {SYS_clone3, KILLS, ANY, 0, 0},
#endif
#ifdef SYS_fork
    {SYS_fork, KILLS, ANY, 0, 0},
    {SYS_vfork, KILLS, ANY, 0, 0},
#endif
    {SYS_ptrace, KILLS, ANY, 0, 0},
    {SYS_process_vm_readv, KILLS, ANY, 0, 0},
    {SYS_process_vm_writev, KILLS, ANY, 0, 0},
};
enum { ROWS = sizeof rows / sizeof *rows };
_Static_assert(6 + 6 * ROWS < 2 * CONFINE_OPS_MAX, "room");

static enum confine_mode mode = CONFINE_OFF;

static struct sys_filter_op load(uint32_t at)
{
    return (struct sys_filter_op){OP_LOAD, 0, 0, at};
}

static struct sys_filter_op equal(uint32_t value, uint8_t skip_if_not)
{
    return (struct sys_filter_op){OP_EQUAL, 0, skip_if_not, value};
}

static struct sys_filter_op say(uint32_t what)
{
    return (struct sys_filter_op){OP_RETURN, 0, 0, what};
}

size_t confine_filter(enum confine_role role, enum confine_mode how, struct sys_filter_op out[CONFINE_OPS_MAX])
{
    size_t n = 0;

    if (!ARCH || how == CONFINE_OFF)
        return 0;
    out[n++] = load(AT_ARCH);
    out[n++] = (struct sys_filter_op){OP_EQUAL, 1, 0, ARCH};
    out[n++] = say(SAY_KILL); /* 32-bit calls have other numbers */
    out[n++] = load(AT_CALL);
    for (size_t i = 0; i < ROWS && n + 8 < CONFINE_OPS_MAX; i++) {
        const struct row *r = &rows[i];

        if (r->who != KILLS && !(r->who & 1 << role))
            continue;
        out[n++] = equal((uint32_t)r->call, r->arg == ANY ? 1 : 5);
        if (r->arg != ANY) {
            out[n++] = load(AT_ARGS + 8 * (uint32_t)r->arg); /* its low half: no argument here has more */
            out[n++] = (struct sys_filter_op){OP_AND, 0, 0, r->mask};
            out[n++] = equal(r->value, 1);
        }
        out[n++] = say(r->who == KILLS ? SAY_KILL : SAY_ALLOW);
        if (r->arg != ANY)
            out[n++] = load(AT_CALL);
    }
    out[n++] = say(how == CONFINE_KILL ? SAY_KILL : SAY_ERRNO_ENOSYS);
    return n;
}

void confine_set_mode(enum confine_mode how)
{
    mode = how;
}

bool confine(enum confine_role role, const char **why)
{
    struct sys_filter_op op[CONFINE_OPS_MAX];
    size_t n = confine_filter(role, mode, op);

    *why = "";
    sys_drop_rights();
    if (mode == CONFINE_OFF)
        return true;
    *why = n ? "the kernel has no system call filters, or refuses them" : "there is no list of system calls for this architecture";
    return n && sys_filter(op, n) == 0;
}
