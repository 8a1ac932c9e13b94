/* base/sys.h without a kernel: see fake_sys.h. */
#include "fake_sys.h"

#include "fake_disk.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SOCKS_MAX = 512, FIRST_FD = 3, FILES_MAX = 8, REGIONS_MAX = 256 };

struct fake fake;

static struct sock socks[SOCKS_MAX];
static unsigned socks_used; /* those from here on were never taken in this world: most of them, and every turn of the loop looks at all */
static unsigned poll_turn;
static uint64_t chance;
static struct {
    const char *path, *text;
} files[FILES_MAX];
static struct {
    void *p;
    size_t n;
} region[REGIONS_MAX];

/* ---- Bytes ---- */

void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (b->off > 65536 && b->off > b->n / 2) {
        memmove(b->p, b->p + b->off, b->n - b->off);
        b->n -= b->off;
        b->off = 0;
    }
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2 + 256;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            abort();
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

void bytes_skip(struct bytes *b, size_t n)
{
    b->off += n;
    if (b->off == b->n)
        b->off = b->n = 0;
}

void bytes_drop(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

/* ---- The world ---- */

static void sock_free(struct sock *s)
{
    bytes_drop(&s->in);
    *s = (struct sock){0};
}

void fake_reset(void)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        sock_free(&socks[i]);
    for (int i = 0; i < REGIONS_MAX && region[i].p; i++)
        munmap(region[i].p, region[i].n);
    memset(region, 0, sizeof region);
    memset(files, 0, sizeof files);
    bytes_drop(&fake.log);
    fake_disk_reset();
    fake = (struct fake){.now_ms = 5000000, .wall_offset_ms = 1800000000000};
    chance = 0x9E3779B97F4A7C15u;
    poll_turn = socks_used = 0;
}

void fake_file(const char *path, const char *text)
{
    int i = 0;

    while (files[i].path && strcmp(files[i].path, path) != 0)
        i++;
    files[i].path = path;
    files[i].text = text;
}

static void misused(const char *what)
{
    fake.misuse++;
    fake.misuse_what = what;
}

struct sock *fake_sock(int fd)
{
    struct sock *s = fd >= FIRST_FD && fd < FIRST_FD + SOCKS_MAX ? &socks[fd - FIRST_FD] : NULL;

    return s && s->kind != SOCK_FREE ? s : NULL;
}

static struct sock *use(int fd, const char *what)
{
    struct sock *s = fake_sock(fd);

    if (!s) {
        misused(what);
        errno = EBADF;
    }
    return s;
}

static struct sock *sock_new(enum sock_kind kind)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (socks[i].kind == SOCK_FREE) {
            socks[i] = (struct sock){.kind = kind, .fd = FIRST_FD + i, .connect_ms = -1};
            socks_used = (unsigned)i < socks_used ? socks_used : (unsigned)i + 1;
            fake.activity++;
            return &socks[i];
        }
    errno = EMFILE;
    return NULL;
}

unsigned fake_open_fds(void)
{
    unsigned n = 0;

    for (int i = 0; i < SOCKS_MAX; i++)
        n += socks[i].kind != SOCK_FREE && socks[i].kind != SOCK_EPOLL;
    return n;
}

/* Whether this call is the one that must fail; errno is set then. */
static bool fails(enum fake_call call)
{
    static const int usual[CALL_COUNT] = {
        [CALL_SOCKET] = EMFILE,   [CALL_BIND] = EADDRINUSE,     [CALL_ACCEPT] = EMFILE,      [CALL_CONNECT] = EADDRNOTAVAIL,
        [CALL_GETSOCKNAME] = ENOBUFS, [CALL_OPTION] = ENOBUFS,  [CALL_RECV] = ECONNRESET,    [CALL_SEND] = EPIPE,
        [CALL_SHUTDOWN] = ENOTCONN, [CALL_POLL_ADD] = ENOMEM,   [CALL_POLL_CHANGE] = ENOMEM, [CALL_RANDOM] = ENOSYS,
        [CALL_OPEN] = EMFILE,     [CALL_READ] = EIO,
    };
    uint64_t n;

    fake.calls[CALL_ANY]++;
    n = ++fake.calls[call];
    if (!fake.fail.nth || (fake.fail.call != CALL_ANY && fake.fail.call != call))
        return false;
    if (fake.fail.call == CALL_ANY)
        n = fake.calls[CALL_ANY];
    if (n != fake.fail.nth && !(fake.fail.from_then_on && n > fake.fail.nth))
        return false;
    fake.failed++;
    errno = fake.fail.error ? fake.fail.error : usual[call];
    return true;
}

/* ---- What peers do to a socket ---- */

void fake_peer_init(struct peer *p)
{
    *p = (struct peer){.window = 262144};
}

void fake_peer_drop(struct peer *p)
{
    fake_deliver_rst(p);
    if (p->sock)
        p->sock->peer = NULL;
    bytes_drop(&p->wire);
    bytes_drop(&p->got);
    free(p->stamp);
    *p = (struct peer){0};
}

void fake_deliver(struct peer *p, const void *bytes, size_t n)
{
    if (!p->sock || !n)
        return;
    bytes_add(&p->sock->in, bytes, n);
    fake.activity++;
}

void fake_deliver_fin(struct peer *p)
{
    if (!p->sock || p->sock->in_fin)
        return;
    p->sock->in_fin = true;
    fake.activity++;
}

/* A reset overtakes what was on its way in both directions. */
void fake_deliver_rst(struct peer *p)
{
    if (!p->sock || p->sock->in_rst)
        return;
    p->sock->in_rst = true;
    bytes_skip(&p->sock->in, bytes_len(&p->sock->in));
    bytes_skip(&p->wire, bytes_len(&p->wire));
    fake.activity++;
}

size_t fake_take(struct peer *p, size_t most)
{
    size_t n = bytes_len(&p->wire);

    n = most && n > most ? most : n;
    if (!n)
        return 0;
    bytes_add(&p->got, p->wire.p + p->wire.off, n);
    bytes_skip(&p->wire, n);
    if (!p->stamp)
        p->stamp = calloc(STAMPS_MAX, sizeof *p->stamp);
    if (p->nstamps && (p->stamp[p->nstamps - 1].ms == fake.now_ms || p->nstamps == STAMPS_MAX))
        p->nstamps--;
    p->stamp[p->nstamps++] = (struct stamp){p->got.n, fake.now_ms};
    fake.activity++;
    return n;
}

bool fake_knock(struct peer *p)
{
    return fake_knock_at(p, 0);
}

bool fake_knock_at(struct peer *p, unsigned nth)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (socks[i].kind == SOCK_LISTENER && nth-- == 0) {
            if (socks[i].nwaiting == 64)
                return false;
            p->sock = sock_new(SOCK_STREAMING); /* the kernel has the connection, the gate does not know it yet */
            if (!p->sock)
                return false;
            p->sock->connected = true;
            p->sock->peer = p;
            socks[i].waiting[socks[i].nwaiting++] = p->sock->fd;
            return true;
        }
    return false;
}

static bool connect_over(struct sock *s)
{
    if (s->connecting && s->connect_ms >= 0 && s->connect_ms <= fake.now_ms) {
        s->connecting = false;
        s->connected = s->connect_error == 0;
        fake.activity++;
    }
    return !s->connecting;
}

/* ---- Sockets ---- */

int sys_socket(int family, int type)
{
    struct sock *s;

    (void)family;
    if (fails(CALL_SOCKET))
        return -1;
    s = sock_new(type == SOCK_DGRAM ? SOCK_UDP : SOCK_STREAMING);
    return s ? s->fd : -1;
}

int sys_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    (void)sa;
    (void)n;
    if (fails(CALL_BIND))
        return -1;
    return use(fd, "bind on a closed descriptor") ? 0 : -1;
}

int sys_listen(int fd, int backlog)
{
    struct sock *s = use(fd, "listen on a closed descriptor");

    (void)backlog;
    if (!s || fails(CALL_BIND))
        return -1;
    s->kind = SOCK_LISTENER;
    return 0;
}

static void address(struct sockaddr_storage *out, uint32_t ip, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(ip)}};

    memset(out, 0, sizeof *out);
    memcpy(out, &in, sizeof in);
}

int sys_accept(int fd, struct sockaddr_storage *peer)
{
    struct sock *l = use(fd, "accept on a closed descriptor");
    int newcomer;

    if (!l)
        return -1;
    if (!l->nwaiting) {
        errno = EAGAIN;
        return -1;
    }
    if (fails(CALL_ACCEPT))
        return -1;
    newcomer = l->waiting[0];
    memmove(l->waiting, l->waiting + 1, (size_t)--l->nwaiting * sizeof *l->waiting);
    if (peer)
        address(peer, fake.client_ip ? fake.client_ip : 0x0A020000 + ++fake.clients, (uint16_t)(40000 + newcomer));
    fake.activity++;
    return newcomer;
}

int sys_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    struct sock *s = use(fd, "connect on a closed descriptor");
    struct sockaddr_in in;

    (void)n;
    if (!s || fails(CALL_CONNECT))
        return -1;
    if (sa->sa_family != AF_INET) {
        errno = ENETUNREACH;
        return -1;
    }
    if (s->kind == SOCK_UDP)
        return 0;
    memcpy(&in, sa, sizeof in);
    s->peer = peers_connect(ntohl(in.sin_addr.s_addr), ntohs(in.sin_port), &s->connect_ms, &s->connect_error);
    if (!s->peer && !s->connect_error && s->connect_ms >= 0)
        s->connect_error = ECONNREFUSED;
    if (s->peer)
        s->peer->sock = s;
    s->connecting = true;
    fake.activity++;
    errno = EINPROGRESS;
    return -1;
}

int sys_getsockname(int fd, struct sockaddr_storage *out)
{
    if (!use(fd, "getsockname on a closed descriptor") || fails(CALL_GETSOCKNAME))
        return -1;
    address(out, 0x0A010101, (uint16_t)(8000 + fd));
    return 0;
}

int sys_socket_error(int fd)
{
    struct sock *s = use(fd, "SO_ERROR of a closed descriptor");

    if (!s)
        return EBADF;
    (void)connect_over(s);
    return s->connecting ? 0 : s->connect_error ? s->connect_error : s->in_rst ? ECONNRESET : 0;
}

static int option(int fd)
{
    return use(fd, "an option of a closed descriptor") && !fails(CALL_OPTION) ? 0 : -1;
}

int sys_set_nodelay(int fd)
{
    return option(fd);
}

int sys_set_reuseaddr(int fd)
{
    return option(fd);
}

int sys_set_v6only(int fd)
{
    return option(fd);
}

/* Every other call finds nothing: the caller must come back by an event. */
static bool stutters(void)
{
    static bool again;

    again = fake.stutter && !again;
    if (again)
        return false;
    if (fake.stutter)
        errno = EAGAIN;
    return fake.stutter;
}

static ssize_t receive(int fd, void *buf, size_t cap, bool peek)
{
    struct sock *s = use(fd, "recv on a closed descriptor");
    size_t n;

    if (!s)
        return -1;
    if (s->kind == SOCK_UDP || !bytes_len(&s->in)) {
        if (s->in_rst && !s->rst_told) {
            s->rst_told = true;
            fake.activity++;
            errno = ECONNRESET;
            return -1;
        }
        if (s->in_fin || s->in_rst) {
            fake.activity++;
            return 0;
        }
        errno = EAGAIN;
        return -1;
    }
    if (fails(CALL_RECV) || stutters())
        return -1;
    n = bytes_len(&s->in);
    n = n > cap ? cap : n;
    n = fake.recv_most && n > fake.recv_most ? fake.recv_most : n;
    memcpy(buf, s->in.p + s->in.off, n);
    if (!peek)
        bytes_skip(&s->in, n);
    fake.activity++;
    return (ssize_t)n;
}

ssize_t sys_recv(int fd, void *buf, size_t cap)
{
    if (fd == PAIR_FD)
        return fake_pair_recv(buf, cap);
    return receive(fd, buf, cap, false);
}

ssize_t sys_peek(int fd, void *buf, size_t cap)
{
    return receive(fd, buf, cap, true);
}

ssize_t sys_recvfrom(int fd, void *buf, size_t cap, struct sockaddr_storage *from)
{
    (void)from;
    return receive(fd, buf, cap, false);
}

/* How many bytes the peer's window takes now; -1 with errno. */
static ssize_t sendable(struct sock *s)
{
    size_t used, room;

    if (!s)
        return -1;
    if (!connect_over(s) || fails(CALL_SEND))
        return errno = s->connecting ? EAGAIN : errno, -1;
    if (s->in_rst || s->out_shut || !s->peer) {
        errno = EPIPE;
        return -1;
    }
    used = bytes_len(&s->peer->wire);
    room = s->peer->window > used ? s->peer->window - used : 0;
    if (!room || stutters()) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)(fake.send_most && room > fake.send_most ? fake.send_most : room);
}

ssize_t sys_sendv(int fd, const struct iovec *iov, int n)
{
    struct sock *s = use(fd, "send on a closed descriptor");
    ssize_t room = s && s->kind == SOCK_UDP ? 0 : sendable(s), sent = 0;

    if (s && s->kind == SOCK_UDP)
        return (ssize_t)iov[0].iov_len; /* nobody hears it */
    if (room < 0)
        return -1;
    for (int i = 0; i < n && sent < room; i++) {
        size_t left = (size_t)(room - sent), take = iov[i].iov_len < left ? iov[i].iov_len : left;

        bytes_add(&s->peer->wire, iov[i].iov_base, take);
        sent += (ssize_t)take;
    }
    fake.activity++;
    return sent;
}

ssize_t sys_send(int fd, const void *buf, size_t n)
{
    union {
        const void *in;
        void *out;
    } p = {.in = buf};
    struct iovec iov = {p.out, n};

    if (fd == PAIR_FD)
        return fake_pair_send(buf, n);
    return sys_sendv(fd, &iov, 1);
}

ssize_t sys_sendto(int fd, const void *buf, size_t n, const struct sockaddr *sa, socklen_t san)
{
    (void)sa;
    (void)san;
    return sys_send(fd, buf, n);
}

int sys_shutdown_write(int fd)
{
    struct sock *s = use(fd, "shutdown of a closed descriptor");

    if (!s || fails(CALL_SHUTDOWN))
        return -1;
    s->out_shut = true;
    if (s->peer && !s->peer->gate_fin) {
        s->peer->gate_fin = true;
        s->peer->ended_ms = fake.now_ms;
    }
    fake.activity++;
    return 0;
}

int sys_reset_on_close(int fd)
{
    struct sock *s = use(fd, "SO_LINGER of a closed descriptor");

    if (s)
        s->reset_on_close = true;
    return s ? 0 : -1;
}

int sys_close(int fd)
{
    struct sock *s;

    if (fd == -1 || fd == PAIR_FD)
        return 0;
    if (fake_disk_owns(fd))
        return fake_disk_close(fd);
    s = use(fd, "close of a closed descriptor");
    if (!s)
        return -1;
    if (s->peer) {
        struct peer *p = s->peer;

        /* The kernel answers unread bytes with a reset, and a reset takes what the peer has not read along. */
        p->gate_rst = s->reset_on_close || bytes_len(&s->in) > 0;
        if (p->gate_rst)
            bytes_skip(&p->wire, bytes_len(&p->wire));
        if (!p->gate_fin)
            p->ended_ms = fake.now_ms;
        p->gate_fin = true;
        p->sock = NULL;
    }
    for (int i = 0; i < s->nwaiting; i++) { /* never accepted */
        struct sock *w = fake_sock(s->waiting[i]);

        if (w && w->peer) {
            w->peer->gate_rst = w->peer->gate_fin = true;
            w->peer->sock = NULL;
        }
        if (w)
            sock_free(w);
    }
    sock_free(s);
    fake.activity++;
    return 0;
}

int sys_pair(int fd[2])
{
    struct sock *s = sock_new(SOCK_STREAMING);

    if (!s)
        return -1;
    fake_pair_drop();
    fake_peer_init(&disk_world.pair);
    disk_world.pair_open = true;
    disk_world.pair.sock = s;
    s->peer = &disk_world.pair;
    s->connected = true;
    fd[0] = s->fd;
    fd[1] = PAIR_FD;
    return 0;
}

/* ---- Events ---- */

int sys_poll_create(void)
{
    struct sock *s = sock_new(SOCK_EPOLL);

    return s ? s->fd : -1;
}

int sys_poll_add(int poll_fd, int fd, unsigned events, uint64_t data)
{
    struct sock *s = use(fd, "epoll_ctl on a closed descriptor");

    (void)poll_fd;
    if (!s || fails(CALL_POLL_ADD))
        return -1;
    if (s->watched) {
        errno = EEXIST;
        return -1;
    }
    s->watched = true;
    s->want = events;
    s->data = data;
    return 0;
}

int sys_poll_change(int poll_fd, int fd, unsigned events, uint64_t data)
{
    struct sock *s = use(fd, "epoll_ctl on a closed descriptor");

    (void)poll_fd;
    if (!s || fails(CALL_POLL_CHANGE))
        return -1;
    if (!s->watched) {
        misused("epoll_ctl change of what is not watched");
        errno = ENOENT;
        return -1;
    }
    s->want = events;
    s->data = data;
    return 0;
}

int sys_poll_remove(int poll_fd, int fd)
{
    struct sock *s = use(fd, "epoll_ctl on a closed descriptor");

    (void)poll_fd;
    if (!s)
        return -1;
    s->watched = false;
    return 0;
}

static unsigned ready(struct sock *s)
{
    unsigned now = 0;

    if (s->kind == SOCK_LISTENER)
        return s->nwaiting ? s->want & SYS_IN : 0;
    if (s->kind != SOCK_STREAMING)
        return 0;
    if (!connect_over(s))
        return 0;
    if (s->connect_error || s->in_rst)
        return (s->want & (SYS_IN | SYS_OUT)) | SYS_GONE; /* errors are told to everybody */
    if (bytes_len(&s->in) || s->in_fin)
        now |= SYS_IN;
    if (s->connected && s->peer && bytes_len(&s->peer->wire) < s->peer->window)
        now |= SYS_OUT;
    if (s->in_fin)
        now |= SYS_GONE;
    now &= s->want;
    if (s->in_fin && s->out_shut)
        now |= SYS_GONE; /* EPOLLHUP */
    return now;
}

int sys_poll_wait(int poll_fd, struct sys_event *out, int cap, int timeout_ms)
{
    int n = 0;

    (void)poll_fd;
    (void)timeout_ms; /* nobody waits here: flow.c moves the clock */
    poll_turn++;
    for (unsigned i = 0; i < SOCKS_MAX && n < cap; i++) {
        unsigned k = (i + poll_turn) % SOCKS_MAX; /* any order is as good as another */
        struct sock *s = &socks[k];
        unsigned now = k < socks_used && s->watched ? ready(s) : 0;

        if (now)
            out[n++] = (struct sys_event){s->data, now};
    }
    fake.events += (uint64_t)n;
    return n;
}

/* ---- Time and chance ---- */

int64_t sys_mono_ms(void)
{
    return fake.now_ms;
}

int64_t sys_mono_us(void)
{
    return fake.now_ms * 1000;
}

int64_t sys_wall_ms(void)
{
    return fake.now_ms + fake.wall_offset_ms;
}

bool sys_random(void *out, size_t n)
{
    if (fails(CALL_RANDOM))
        return false;
    for (size_t i = 0; i < n; i++) {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        ((unsigned char *)out)[i] = (unsigned char)chance;
    }
    return true;
}

/* ---- Files, signals, memory ---- */

static const char *text_of(const char *path)
{
    for (int i = 0; i < FILES_MAX && files[i].path; i++)
        if (strcmp(files[i].path, path) == 0)
            return files[i].text;
    return NULL;
}

int sys_open_read(const char *path)
{
    const char *text = text_of(path);
    struct sock *s;

    if (fails(CALL_OPEN))
        return -1;
    if (!text) {
        errno = ENOENT;
        return -1;
    }
    s = sock_new(SOCK_FILE);
    if (!s)
        return -1;
    s->file = text;
    s->file_n = strlen(text);
    return s->fd;
}

int sys_open_append(const char *path)
{
    (void)path;
    errno = EROFS;
    return -1;
}

int sys_create_exclusive(const char *path)
{
    (void)path;
    errno = EROFS;
    return -1;
}

ssize_t sys_read(int fd, void *buf, size_t cap)
{
    struct sock *s = fake_disk_owns(fd) ? NULL : use(fd, "read of a closed descriptor");
    size_t n;

    if (fake_disk_owns(fd))
        return fake_disk_read(fd, buf, cap);
    if (!s || fails(CALL_READ))
        return -1;
    n = s->file_n - s->file_at < cap ? s->file_n - s->file_at : cap;
    memcpy(buf, s->file + s->file_at, n);
    s->file_at += n;
    return (ssize_t)n;
}

ssize_t sys_write(int fd, const void *buf, size_t n)
{
    if (fd == 2)
        bytes_add(&fake.log, buf, n);
    return (ssize_t)n;
}

int64_t sys_file_size(int fd)
{
    struct sock *s = fake_sock(fd);

    return s && s->kind == SOCK_FILE ? (int64_t)s->file_n : -1;
}

int64_t sys_file_mtime_ms(const char *path)
{
    return text_of(path) ? 1 : -1;
}

int sys_set_nonblocking(int fd)
{
    (void)fd;
    return 0;
}

void sys_open_std_fds(void)
{
}

int sys_signal_fd(void)
{
    struct sock *s = sock_new(SOCK_SIGNAL);

    return s ? s->fd : -1;
}

int sys_signal_read(int fd)
{
    (void)fd;
    return 0;
}

int sys_max_fds(void)
{
    return SOCKS_MAX;
}

int sys_filter(const struct sys_filter_op *op, size_t n)
{
    (void)op;
    (void)n;
    return 0;
}

int sys_become(uint32_t uid, uint32_t gid)
{
    (void)uid;
    (void)gid;
    return 0;
}

void sys_drop_rights(void)
{
}

void *sys_reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int i = 0;

    if (p == MAP_FAILED)
        return NULL;
    while (i < REGIONS_MAX - 1 && region[i].p)
        i++;
    region[i].p = p;
    region[i].n = size;
    return p;
}

void sys_release(void *p, size_t size)
{
    (void)madvise(p, size, MADV_DONTNEED);
}

void sys_unreserve(void *p, size_t size)
{
    (void)p; /* all regions go at the world's end */
    (void)size;
}

size_t sys_resident(void)
{
    return 0;
}

bool sys_is_pipe(int fd)
{
    (void)fd;
    return false;
}
