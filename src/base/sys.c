/* System calls and nothing else: see sys.h for the rules. Tests link a fake in this file's place. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define RETRY(result, call)                                                                        \
    do {                                                                                           \
        (result) = (call);                                                                         \
    } while ((result) == -1 && errno == EINTR)

/* ---- Sockets ---- */

int sys_socket(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int sys_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    return bind(fd, sa, n);
}

int sys_listen(int fd, int backlog)
{
    return listen(fd, backlog);
}

int sys_accept(int fd, struct sockaddr_storage *peer)
{
    socklen_t n = sizeof *peer;
    int r;

    RETRY(r, accept4(fd, (struct sockaddr *)peer, peer ? &n : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return r;
}

int sys_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    /* No retry on EINTR: the connection goes on by itself, and the second call would say EALREADY. */
    int r = connect(fd, sa, n);

    if (r == -1 && errno == EINTR)
        errno = EINPROGRESS;
    return r;
}

int sys_getsockname(int fd, struct sockaddr_storage *out)
{
    socklen_t n = sizeof *out;

    return getsockname(fd, (struct sockaddr *)out, &n);
}

int sys_socket_error(int fd)
{
    int err = 0;
    socklen_t n = sizeof err;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) == -1 ? errno : err;
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

int sys_set_nodelay(int fd)
{
    return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int sys_set_reuseaddr(int fd)
{
    return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int sys_set_v6only(int fd)
{
    return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

ssize_t sys_recv(int fd, void *buf, size_t cap)
{
    ssize_t r;

    RETRY(r, recv(fd, buf, cap, 0));
    return r;
}

ssize_t sys_peek(int fd, void *buf, size_t cap)
{
    ssize_t r;

    RETRY(r, recv(fd, buf, cap, MSG_PEEK));
    return r;
}

ssize_t sys_send(int fd, const void *buf, size_t n)
{
    ssize_t r;

    RETRY(r, send(fd, buf, n, MSG_NOSIGNAL));
    return r;
}

ssize_t sys_sendv(int fd, const struct iovec *iov, int n)
{
    union {
        const struct iovec *in;
        struct iovec *out;
    } pieces = {.in = iov}; /* sendmsg only reads them */
    struct msghdr msg = {.msg_iov = pieces.out};
    ssize_t r;

    msg.msg_iovlen = (__typeof__(msg.msg_iovlen))n; /* int under musl, size_t under glibc */
    RETRY(r, sendmsg(fd, &msg, MSG_NOSIGNAL));
    return r;
}

ssize_t sys_recvfrom(int fd, void *buf, size_t cap, struct sockaddr_storage *from)
{
    socklen_t n = sizeof *from;
    ssize_t r;

    RETRY(r, recvfrom(fd, buf, cap, 0, (struct sockaddr *)from, from ? &n : NULL));
    return r;
}

ssize_t sys_sendto(int fd, const void *buf, size_t n, const struct sockaddr *sa, socklen_t san)
{
    ssize_t r;

    RETRY(r, sendto(fd, buf, n, MSG_NOSIGNAL, sa, san));
    return r;
}

int sys_shutdown_write(int fd)
{
    return shutdown(fd, SHUT_WR);
}

int sys_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int sys_close(int fd)
{
    return fd == -1 ? 0 : close(fd); /* never retried: on Linux the descriptor is gone even after EINTR */
}

/* ---- Events ---- */

static uint32_t to_epoll(unsigned events)
{
    return (events & SYS_IN ? (uint32_t)EPOLLIN : 0) | (events & SYS_OUT ? (uint32_t)EPOLLOUT : 0) |
           (events & SYS_GONE ? (uint32_t)EPOLLRDHUP : 0);
}

int sys_poll_create(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

int sys_poll_add(int poll_fd, int fd, unsigned events, uint64_t data)
{
    struct epoll_event e = {.events = to_epoll(events), .data.u64 = data};

    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
}

int sys_poll_change(int poll_fd, int fd, unsigned events, uint64_t data)
{
    struct epoll_event e = {.events = to_epoll(events), .data.u64 = data};

    return epoll_ctl(poll_fd, EPOLL_CTL_MOD, fd, &e);
}

int sys_poll_remove(int poll_fd, int fd)
{
    return epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int sys_poll_wait(int poll_fd, struct sys_event *out, int cap, int timeout_ms)
{
    struct epoll_event e[256];
    int n = epoll_wait(poll_fd, e, cap < 256 ? cap : 256, timeout_ms);

    if (n == -1)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        out[i].data = e[i].data.u64;
        out[i].events = (e[i].events & EPOLLIN ? (unsigned)SYS_IN : 0) |
                        (e[i].events & EPOLLOUT ? (unsigned)SYS_OUT : 0) |
                        (e[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? (unsigned)SYS_GONE : 0);
    }
    return n;
}

/* ---- Time and chance ---- */

static int64_t read_clock(clockid_t id, int64_t unit_ns)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * (1000000000 / unit_ns) + ts.tv_nsec / unit_ns;
}

int64_t sys_mono_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

int64_t sys_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t sys_wall_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000000);
}

bool sys_random(void *out, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r;

        RETRY(r, getrandom((char *)out + got, n - got, 0));
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

/* ---- Files, signals, memory ---- */

int sys_open_read(const char *path)
{
    int r;

    RETRY(r, open(path, O_RDONLY | O_CLOEXEC));
    return r;
}

int sys_open_append(const char *path)
{
    int r;

    RETRY(r, open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
    return r;
}

int sys_create_exclusive(const char *path)
{
    int r;

    RETRY(r, open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return r;
}

ssize_t sys_read(int fd, void *buf, size_t cap)
{
    ssize_t r;

    RETRY(r, read(fd, buf, cap));
    return r;
}

ssize_t sys_write(int fd, const void *buf, size_t n)
{
    ssize_t r;

    RETRY(r, write(fd, buf, n));
    return r;
}

int64_t sys_file_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ? -1 : (int64_t)st.st_size;
}

int64_t sys_file_mtime_ms(const char *path)
{
    struct stat st;

    return stat(path, &st) == -1 ? -1 : (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

int sys_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

bool sys_is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

void sys_open_std_fds(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) == -1)
            return; /* no /dev in a scratch container: nothing better to be had */
}

int sys_signal_fd(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int sys_signal_read(int fd)
{
    struct signalfd_siginfo info;
    ssize_t r;

    RETRY(r, read(fd, &info, sizeof info));
    return r == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

int sys_max_fds(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    /* Not setrlimit: musl's brings a way to run it in all threads at once, and there is one. */
    if (prlimit(0, RLIMIT_NOFILE, &limit, NULL) == -1 && getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return 1024;
    return limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur;
}

void *sys_reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void sys_release(void *p, size_t size)
{
    (void)madvise(p, size, MADV_DONTNEED);
}

void sys_unreserve(void *p, size_t size)
{
    (void)munmap(p, size);
}

size_t sys_resident(void)
{
    char text[128];
    int fd = sys_open_read("/proc/self/statm");
    ssize_t n = fd == -1 ? -1 : sys_read(fd, text, sizeof text);
    size_t pages = 0;
    ssize_t at = 0;

    sys_close(fd);
    while (at < n && text[at] != ' ')
        at++;
    for (at++; at < n && text[at] >= '0' && text[at] <= '9'; at++)
        pages = pages * 10 + (size_t)(text[at] - '0');
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void sys_conceal(void *p, size_t size)
{
    size_t in_page = (uintptr_t)p % 4096;

    p = (char *)p - in_page;
    size += in_page;
    (void)mlock(p, size);
    (void)madvise(p, size, MADV_DONTDUMP);
    (void)madvise(p, size, MADV_DONTFORK);
}

int sys_filter(const struct sys_filter_op *op, size_t n)
{
    const struct {
        unsigned short n;
        const struct sys_filter_op *op;
    } program = {(unsigned short)n, op};

#if defined(WEIR_DEBUG) || defined(WEIR_UNCONFINED) /* sanitizers and line counters have wishes of their own */
    return (void)program, 0;
#else
    return prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program, 0, 0);
#endif
}

static long set_rights(uint32_t set)
{
    struct {
        uint32_t version;
        int pid;
    } head = {0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */, 0};
    uint32_t rights[6] = {set, set}; /* effective, permitted, inheritable of the low ones, then of the high ones */

    return syscall(SYS_capset, &head, rights);
}

/* The calls themselves: the C library's do it for all threads, with machinery for that, and there is one. */
int sys_become(uint32_t uid, uint32_t gid)
{
    if (geteuid() == uid && getegid() == gid && uid != 0)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1 || syscall(SYS_setgroups, 0, NULL) == -1 || syscall(SYS_setresgid, gid, gid, gid) == -1 ||
        syscall(SYS_setresuid, uid, uid, uid) == -1 || set_rights(1u << 10 /* CAP_NET_BIND_SERVICE */) == -1)
        return -1;
    sys_no_dumps(); /* the kernel sets it anew with the user */
    return 0;
}

void sys_drop_rights(void)
{
#if !defined(WEIR_DEBUG) && !defined(WEIR_UNCONFINED)
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)set_rights(0);
#endif
}

void sys_no_dumps(void)
{
#ifndef WEIR_DEBUG /* sanitizers look at their process as a debugger does */
    struct rlimit none = {0, 0};

    (void)prlimit(0, RLIMIT_CORE, &none, NULL);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* ---- Durable files ---- */

int sys_dir_make(const char *path)
{
    return mkdir(path, 0700) == 0 ? 1 : errno == EEXIST ? 0 : -1;
}

int sys_dir_open(const char *path)
{
    int r;

    RETRY(r, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return r;
}

int sys_open_at(int dir, const char *name, enum sys_open how)
{
    static const int flags[] = {[SYS_OPEN_READ] = O_RDONLY, [SYS_OPEN_WRITE] = O_RDWR,
                                [SYS_OPEN_NEW] = O_RDWR | O_CREAT | O_EXCL, [SYS_OPEN_LOCK] = O_RDWR | O_CREAT};
    int r;

    /* Not blocking: what stands there may be a pipe that somebody else made. */
    RETRY(r, openat(dir, name, flags[how] | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    return r;
}

int sys_info(int fd, struct sys_info *out)
{
    struct stat st;

    if (fstat(fd, &st) == -1)
        return -1;
    *out = (struct sys_info){.size = st.st_size, .mode = st.st_mode & 07777, .links = (unsigned)st.st_nlink,
                             .file = S_ISREG(st.st_mode), .dir = S_ISDIR(st.st_mode), .mine = st.st_uid == geteuid()};
    return 0;
}

ssize_t sys_pwrite(int fd, const void *buf, size_t n, uint64_t at)
{
    ssize_t r;

    RETRY(r, pwrite(fd, buf, n, (off_t)at));
    return r;
}

int sys_truncate(int fd, uint64_t size)
{
    int r;

    RETRY(r, ftruncate(fd, (off_t)size));
    return r;
}

int sys_fsync(int fd)
{
    return fsync(fd); /* no retry: after EINTR nobody knows what it did, and the caller writes anew */
}

int sys_rename_at(int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}

int sys_link_at(int dir, const char *from, const char *to)
{
    return linkat(dir, from, dir, to, 0);
}

int sys_unlink_at(int dir, const char *name)
{
    return unlinkat(dir, name, 0);
}

int sys_lock(int fd)
{
    int r;

    RETRY(r, flock(fd, LOCK_EX | LOCK_NB));
    return r;
}

int sys_unlock(int fd)
{
    return flock(fd, LOCK_UN);
}

int sys_dup(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- The helper process ---- */

int sys_pair(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == -1)
        return -1;
    return sys_set_nonblocking(fd[0]);
}

/* What both helpers are: named, and deaf to the signals that end their parent, which may go to the whole group. */
static void hush(const char *name)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGQUIT, SIGXFSZ};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], SIG_IGN);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

int sys_helper(void (*run)(void *arg), void (*let_go)(void *arg), void *arg, const int *hers, int nhers)
{
    pid_t child = fork();

    if (child == -1)
        return -1;
    if (child > 0) {
        for (int i = 0; i < nhers; i++)
            sys_close(hers[i]);
        let_go(arg);
        return child;
    }
    hush("weir-store");
    for (int fd = 0; fd < 1024; fd++) { /* 0 to 2 as well: who reads the parent's output must not wait for this process too */
        bool keep = false;

        for (int i = 0; i < nhers; i++)
            keep |= fd == hers[i];
        if (!keep)
            close(fd);
    }
    sys_open_std_fds();
    run(arg);
    _exit(0);
}

int sys_pair_packets(int fd[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd);
}

void sys_notify_ready(void)
{
    const char *where = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = where ? strlen(where) : 0;
    char text[64];
    int fd, len;

    if (n < 2 || n >= sizeof to.sun_path || (where[0] != '/' && where[0] != '@'))
        return;
    memcpy(to.sun_path, where, n);
    if (where[0] == '@')
        to.sun_path[0] = '\0'; /* abstract */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return;
    len = text_format(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
    (void)sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

/* ---- The next program ---- */

static const char launch_name[] = "WEIR_HANDOVER";

union fd_message { /* aligned as the kernel wants it */
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int) * SYS_LAUNCH_FDS)];
};

/* Never comes back. The descriptors become 3 and up, by way of numbers above where none of them can lie. */
static void become(const char *path, char *const *argv, const int *fds, int n)
{
    enum { ABOVE = 32 };
    sigset_t none;
    char count[2] = {(char)('0' + n), '\0'};

    for (int i = 0; i < n; i++)
        if (dup2(fds[i], ABOVE + i) == -1)
            _exit(127);
    for (int i = 0; i < n; i++)
        if (dup2(ABOVE + i, SYS_LAUNCH_FIRST + i) == -1)
            _exit(127);
    for (int fd = SYS_LAUNCH_FIRST + n; fd < ABOVE + n; fd++)
        close(fd);
    for (int s = 1; s < 32; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (setenv(launch_name, count, 1) == 0)
        execv(path, argv);
    _exit(127);
}

static void launcher_run(int from, const char *path, char *const *argv)
{
    for (;;) {
        union fd_message m;
        char byte;
        struct iovec iov = {&byte, 1};
        struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &m, .msg_controllen = sizeof m};
        int fds[SYS_LAUNCH_FDS], n = 0;
        struct cmsghdr *c;

        if (recvmsg(from, &h, MSG_CMSG_CLOEXEC) <= 0)
            return;
        c = CMSG_FIRSTHDR(&h);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof *fds);
            memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof *fds);
        }
        if (n && fork() == 0)
            become(path, argv, fds, n);
        for (int i = 0; i < n; i++)
            close(fds[i]);
    }
}

int sys_launcher(char *const *argv)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1); /* its name now: what has that name later is started */
    int pair[2];
    pid_t child;

    if (n <= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
        return -1;
    path[n] = '\0';
    child = fork();
    if (child == 0) {
        hush("weir-launch");
        signal(SIGCHLD, SIG_IGN); /* nobody asks how they ended: the descriptor they were given tells */
        for (int fd = SYS_LAUNCH_FIRST; fd < 1024; fd++)
            if (fd != pair[1])
                close(fd);
        launcher_run(pair[1], path, argv);
        _exit(0);
    }
    close(pair[1]);
    if (child == -1) {
        close(pair[0]);
        return -1;
    }
    return pair[0];
}

int sys_launch(int launcher, const int *fds, int n)
{
    union fd_message m = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &m};

    /* Of different types in different C libraries. */
    m.head.cmsg_len = (__typeof__(m.head.cmsg_len))CMSG_LEN(sizeof *fds * (size_t)n);
    h.msg_controllen = (__typeof__(h.msg_controllen))CMSG_SPACE(sizeof *fds * (size_t)n);
    memcpy(CMSG_DATA(&m.head), fds, sizeof *fds * (size_t)n);
    return sendmsg(launcher, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -1;
}

int sys_launched(void)
{
    const char *count = getenv(launch_name);
    int n = count && count[0] > '0' && count[0] <= '0' + SYS_LAUNCH_FDS && !count[1] ? count[0] - '0' : 0;

    for (int i = 0; i < n; i++)
        if (fcntl(SYS_LAUNCH_FIRST + i, F_SETFD, FD_CLOEXEC) == -1 || sys_set_nonblocking(SYS_LAUNCH_FIRST + i) == -1)
            n = 0; /* not there: somebody set the variable by hand */
    (void)unsetenv(launch_name);
    return n;
}

bool sys_reap(int child)
{
    return waitpid(child, NULL, WNOHANG) != 0; /* or nobody knows of it any more */
}

int sys_wait(int fd, unsigned events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = (short)((events & SYS_IN ? POLLIN : 0) | (events & SYS_OUT ? POLLOUT : 0))};

    return poll(&p, 1, timeout_ms) > 0;
}
