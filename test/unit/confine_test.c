/* The system call filters: read by an interpreter of our own for every number there is, and put on for real in a process that then tries
 * what it may not. */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { LOAD = 0x20, EQUAL = 0x15, AND = 0x54, RETURN = 0x06, BAD = 1, ALLOW = 0x7fff0000, REFUSE = 0x00050000 + ENOSYS };
#define KILL 0x80000000u
#if defined(__x86_64__)
#define ARCH 0xc000003eu
#else
#define ARCH 0xc00000b7u
#endif

struct call {
    uint32_t number, arch;
    uint32_t words[14]; /* instruction pointer and arguments, low half first */
};

static uint32_t verdict(const struct sys_filter_op *op, size_t n, const struct call *c, unsigned *steps)
{
    uint32_t acc = 0;

    for (size_t at = 0; at < n; at++) {
        const struct sys_filter_op *o = &op[at];

        ++*steps;
        if (o->code == LOAD && o->k % 4 == 0 && o->k < sizeof *c)
            memcpy(&acc, (const char *)c + o->k, 4);
        else if (o->code == AND)
            acc &= o->k;
        else if (o->code == EQUAL)
            at += acc == o->k ? o->if_true : o->if_false;
        else if (o->code == RETURN)
            return o->k;
        else
            return BAD;
    }
    return BAD; /* ran off the end */
}

static struct call call_of(long number, unsigned arg, uint32_t value)
{
    struct call c = {.number = (uint32_t)number, .arch = ARCH};

    c.words[2 + 2 * arg] = value;
    return c;
}

static void test_verdicts(void)
{
    static const struct {
        const char *name;
        long number;
        unsigned arg;
        uint32_t value;
        uint32_t gate, store;
    } rows[] = {
        {"recvfrom", SYS_recvfrom, 0, 0, ALLOW, ALLOW},
        {"sendmsg", SYS_sendmsg, 0, 0, ALLOW, ALLOW},
        {"epoll_ctl", SYS_epoll_ctl, 0, 0, ALLOW, REFUSE},
        {"socket inet", SYS_socket, 0, AF_INET, ALLOW, REFUSE},
        {"socket inet6", SYS_socket, 0, AF_INET6, ALLOW, REFUSE},
        {"socket unix", SYS_socket, 0, AF_UNIX, REFUSE, REFUSE},
        {"socket netlink", SYS_socket, 0, AF_NETLINK, REFUSE, REFUSE},
        {"socket packet", SYS_socket, 0, AF_PACKET, REFUSE, REFUSE},
        {"open to read", SYS_openat, 2, O_RDONLY | O_CLOEXEC, ALLOW, ALLOW},
        {"open to write", SYS_openat, 2, O_WRONLY, REFUSE, ALLOW},
        {"open for both", SYS_openat, 2, O_RDWR, REFUSE, ALLOW},
        {"open to make", SYS_openat, 2, O_RDONLY | O_CREAT, REFUSE, ALLOW},
        {"open to truncate", SYS_openat, 2, O_RDONLY | O_TRUNC, REFUSE, ALLOW},
        {"open to append", SYS_openat, 2, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, ALLOW, ALLOW},
        {"open to append from nothing", SYS_openat, 2, O_WRONLY | O_APPEND | O_TRUNC, REFUSE, ALLOW},
        {"memory", SYS_mmap, 2, PROT_READ | PROT_WRITE, ALLOW, ALLOW},
        {"code", SYS_mmap, 2, PROT_READ | PROT_EXEC, REFUSE, REFUSE},
        {"memory to code", SYS_mprotect, 2, PROT_READ | PROT_EXEC, REFUSE, REFUSE},
        {"abort", SYS_tkill, 1, SIGABRT, ALLOW, ALLOW},
        {"signals to others", SYS_tkill, 1, SIGKILL, REFUSE, REFUSE},
        {"kill", SYS_kill, 0, 0, REFUSE, REFUSE},
        {"pwrite", SYS_pwrite64, 0, 0, REFUSE, ALLOW},
        {"unlink", SYS_unlinkat, 0, 0, REFUSE, ALLOW},
        {"rename", SYS_renameat, 0, 0, REFUSE, ALLOW},
        {"fsync", SYS_fsync, 0, 0, REFUSE, ALLOW},
        {"bind", SYS_bind, 0, 0, ALLOW, REFUSE},
        {"listen", SYS_listen, 0, 0, ALLOW, REFUSE},
        {"ioctl", SYS_ioctl, 0, 0, REFUSE, REFUSE},
        {"prctl", SYS_prctl, 0, 0, REFUSE, REFUSE},
        {"setuid", SYS_setuid, 0, 0, REFUSE, REFUSE},
        {"mount", SYS_mount, 0, 0, REFUSE, REFUSE},
        {"bpf", SYS_bpf, 0, 0, REFUSE, REFUSE},
        {"execve", SYS_execve, 0, 0, KILL, KILL},
        {"execveat", SYS_execveat, 0, 0, KILL, KILL},
        {"clone", SYS_clone, 0, 0, KILL, KILL},
        {"ptrace", SYS_ptrace, 0, 0, KILL, KILL},
    };
    struct sys_filter_op gate[CONFINE_OPS_MAX], store[CONFINE_OPS_MAX];
    size_t ngate = confine_filter(CONFINE_GATE, CONFINE_ON, gate), nstore = confine_filter(CONFINE_STORE, CONFINE_ON, store);
    unsigned steps = 0;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct call c = call_of(rows[i].number, rows[i].arg, rows[i].value);

        check_case(rows[i].name);
        CHECK_INT(verdict(gate, ngate, &c, &steps), rows[i].gate);
        CHECK_INT(verdict(store, nstore, &c, &steps), rows[i].store);
        c.arch ^= 0x80000000u; /* the same number under another name */
        CHECK_INT(verdict(gate, ngate, &c, &steps), KILL);
    }
}

/* The whole list is short, nothing runs off the end, and what a request needs is found at once. */
static void test_all_numbers(void)
{
    struct sys_filter_op op[CONFINE_OPS_MAX];

    for (int role = CONFINE_GATE; role <= CONFINE_STORE; role++)
        for (int mode = CONFINE_ON; mode <= CONFINE_KILL; mode++) {
            size_t n = confine_filter((enum confine_role)role, (enum confine_mode)mode, op);
            unsigned steps = 0, allowed = 0, odd = 0;

            CHECK(n > 0 && n < CONFINE_OPS_MAX);
            for (uint32_t i = 0; i < 1200; i++) {
                struct call c = call_of(i < 600 ? i : 0x40000000u + i - 600, 0, 0); /* and those of x32 */
                uint32_t v = verdict(op, n, &c, &steps);

                allowed += v == ALLOW;
                odd += v != ALLOW && v != KILL && v != (mode == CONFINE_KILL ? KILL : (uint32_t)REFUSE);
                odd += i >= 600 && v == ALLOW;
            }
            CHECK_INT(odd, 0);
            CHECK(allowed > 25 && allowed <= 60);
        }
    CHECK_INT(confine_filter(CONFINE_GATE, CONFINE_OFF, op), 0);
    for (int i = 0; i < 3; i++) {
        static const long hot[] = {SYS_recvfrom, SYS_sendmsg, SYS_epoll_ctl};
        struct call c = call_of(hot[i], 0, 0);
        unsigned steps = 0;

        (void)verdict(op, confine_filter(CONFINE_GATE, CONFINE_ON, op), &c, &steps);
        CHECK(steps <= 12);
    }
}

/* ---- For real. ---- */

static int run_filtered(enum confine_mode mode, int (*what)(void))
{
    struct sys_filter_op op[CONFINE_OPS_MAX];
    size_t n = confine_filter(CONFINE_GATE, mode, op);
    const struct {
        unsigned short n;
        const struct sys_filter_op *op;
    } program = {(unsigned short)n, op};
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &program, 0, 0))
            syscall(SYS_exit_group, 77);
        syscall(SYS_exit_group, what());
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int nothing(void)
{
    return syscall(SYS_getpid) > 0 ? 3 : 4;
}

static int a_program(void)
{
    static char sh[] = "/bin/true";
    char *const argv[] = {sh, NULL};

    return (int)syscall(SYS_execve, sh, argv, NULL) & 0;
}

static int a_process(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) & 0;
}

static int a_file(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/tmp/weir-confine-test", O_WRONLY | O_CREAT, 0600) == -1 && errno == ENOSYS ? 3 : 4;
}

static int code(void)
{
    return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1 && errno == ENOSYS ? 3 : 4;
}

static void test_for_real(void)
{
    const char *preload = getenv("LD_PRELOAD");

    if (preload && strstr(preload, "vgpreload")) /* valgrind makes calls of its own beside ours */
        return;
    if (run_filtered(CONFINE_ON, nothing) == 77) {
        printf("left out: this kernel takes no filters\n");
        return;
    }
    CHECK_INT(run_filtered(CONFINE_ON, nothing), 3);
    CHECK_INT(run_filtered(CONFINE_KILL, nothing), 3);
    CHECK_INT(run_filtered(CONFINE_ON, a_program), -SIGSYS);
    CHECK_INT(run_filtered(CONFINE_ON, a_process), -SIGSYS);
    CHECK_INT(run_filtered(CONFINE_ON, a_file), 3);
    CHECK_INT(run_filtered(CONFINE_KILL, a_file), -SIGSYS);
    CHECK_INT(run_filtered(CONFINE_ON, code), 3);
}

int main(void)
{
    test_verdicts();
    test_all_numbers();
    test_for_real();
    return check_end();
}
