/* The thin wall around system calls: the only file that makes them, and the seam tests replace whole
 * (test/flow/fake_sys.c). Each call retries EINTR, returns -1 with errno set as the system call does, and sets
 * close-on-exec and non-blocking on every descriptor it makes. Nothing here decides anything. */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/must.h"

/* ---- Sockets ---- */
int sys_socket(int family, int type);                      /* SOCK_STREAM or SOCK_DGRAM */
int sys_bind(int fd, const struct sockaddr *sa, socklen_t n);
int sys_listen(int fd, int backlog);
int sys_accept(int fd, struct sockaddr_storage *peer);     /* peer may be NULL */
int sys_connect(int fd, const struct sockaddr *sa, socklen_t n);
int sys_getsockname(int fd, struct sockaddr_storage *out);
int sys_socket_error(int fd);                              /* SO_ERROR: 0 or an errno */
int sys_set_nodelay(int fd);
int sys_set_reuseaddr(int fd);
int sys_set_v6only(int fd);
ssize_t sys_recv(int fd, void *buf, size_t cap);
ssize_t sys_peek(int fd, void *buf, size_t cap);           /* MSG_PEEK: is a parked connection still silent? */
ssize_t sys_send(int fd, const void *buf, size_t n);       /* MSG_NOSIGNAL, as all sends */
ssize_t sys_sendv(int fd, const struct iovec *iov, int n);
ssize_t sys_recvfrom(int fd, void *buf, size_t cap, struct sockaddr_storage *from);
ssize_t sys_sendto(int fd, const void *buf, size_t n, const struct sockaddr *sa, socklen_t san);
int sys_shutdown_write(int fd);
int sys_reset_on_close(int fd);                            /* SO_LINGER 0: the close sends RST */
int sys_close(int fd);                                     /* -1 is ignored */

/* ---- Events ---- */
/* SYS_GONE: the peer closed its writing half (told only to those who asked), or reset, or an error (told to all). */
enum { SYS_IN = 1, SYS_OUT = 2, SYS_GONE = 4 };
struct sys_event {
    uint64_t data;
    unsigned events; /* set of SYS_* */
};
int sys_poll_create(void);
int sys_poll_add(int poll_fd, int fd, unsigned events, uint64_t data);
int sys_poll_change(int poll_fd, int fd, unsigned events, uint64_t data);
int sys_poll_remove(int poll_fd, int fd);
int sys_poll_wait(int poll_fd, struct sys_event *out, int cap, int timeout_ms); /* -1: for ever */

/* ---- Time and chance ---- */
int64_t sys_mono_ms(void);
int64_t sys_mono_us(void);
int64_t sys_wall_ms(void);                                 /* epoch; for logs, certificates and dates only */
MUST_USE bool sys_random(void *out, size_t n);             /* getrandom, waits for the pool; false: no entropy */

/* ---- Files, signals, memory ---- */
int sys_open_read(const char *path);
int sys_open_append(const char *path);                     /* created 0600; never through a symbolic link */
int sys_create_exclusive(const char *path);                /* 0600, O_EXCL | O_NOFOLLOW */
ssize_t sys_read(int fd, void *buf, size_t cap);
ssize_t sys_write(int fd, const void *buf, size_t n);
int64_t sys_file_size(int fd);                             /* -1: not a regular file */
int64_t sys_file_mtime_ms(const char *path);               /* -1: none */
int sys_set_nonblocking(int fd);
bool sys_is_pipe(int fd);                                  /* a pipe or socket: writing to it may have to wait for a reader */
void sys_open_std_fds(void);                               /* 0, 1, 2 to /dev/null where closed (L-34) */
int sys_signal_fd(void);                                   /* blocks INT, TERM, HUP, USR1, USR2; ignores PIPE */
int sys_signal_read(int fd);                               /* one signal number, 0 when none is waiting */
int sys_max_fds(void);                                     /* raises the soft limit to the hard one; returns it */
void *sys_reserve(size_t size);                            /* address space, zero-filled, touched lazily; NULL */
void sys_release(void *p, size_t size);                    /* gives the pages back, keeps the address space */
void sys_unreserve(void *p, size_t size);
size_t sys_resident(void);                                 /* RSS in bytes, 0 when unknown */
void sys_conceal(void *p, size_t size);                    /* its pages: in no swap, no core, no child, as far as the kernel goes along */
/* One operation of a filter over system calls, as the kernel wants it (struct sock_filter). */
struct sys_filter_op {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t k;
};
int sys_filter(const struct sys_filter_op *op, size_t n);  /* for good; needs sys_drop_rights() before */
/* Another user and group, no others beside them; of root's rights only that to bind low ports stays. -1: not root, and not that user already. */
int sys_become(uint32_t uid, uint32_t gid);
void sys_drop_rights(void);                                /* no capability any more, and no program run from here gains one */
void sys_no_dumps(void);                                   /* this process leaves no core and nobody traces it */

/* ---- Durable files: plain names within a directory that stays open. Never through a symbolic link. ---- */
enum sys_open {
    SYS_OPEN_READ,
    SYS_OPEN_WRITE,                                        /* there already, for reading too */
    SYS_OPEN_NEW,                                          /* must not be there; 0600 */
    SYS_OPEN_LOCK,                                         /* made when missing; 0600 */
};
struct sys_info {
    int64_t size;
    unsigned mode, links;                                  /* permission bits; names it has */
    bool file, dir, mine;                                  /* regular; a directory; owned by who runs this process */
};
int sys_dir_make(const char *path);                        /* 0700; 1: made, 0: something of that name is there already */
int sys_dir_open(const char *path);
int sys_open_at(int dir, const char *name, enum sys_open how);
int sys_info(int fd, struct sys_info *out);
ssize_t sys_pwrite(int fd, const void *buf, size_t n, uint64_t at);
int sys_truncate(int fd, uint64_t size);
int sys_fsync(int fd);                                     /* waits for the disk */
int sys_rename_at(int dir, const char *from, const char *to);
int sys_link_at(int dir, const char *from, const char *to);
int sys_unlink_at(int dir, const char *name);
int sys_lock(int fd);                                      /* for one process at a time; EWOULDBLOCK: another has it */
int sys_unlock(int fd);
int sys_dup(int fd);

/* ---- The helper process. ---- */
int sys_pair(int fd[2]);                                   /* connected; fd[0] does not block, fd[1] does */
/* Forks. The child ignores the signals that end the parent, keeps none of the parent's descriptors but hers, calls run and ends.
 * In the parent hers are closed and let_go is called for what else is hers now. Returns the child's id or -1 (then nothing is closed). Before the loop runs, never after. */
int sys_helper(void (*run)(void *arg), void (*let_go)(void *arg), void *arg, const int *hers, int nhers);
/* Forks a process that does nothing but start this program again with argv and the environment, as often as sys_launch asks, until the
 * descriptor returned here closes. To be called before there is anything secret in memory. -1: no. */
int sys_launcher(char *const *argv);
/* Starts it: fds (at most SYS_LAUNCH_FDS) are its descriptors SYS_LAUNCH_FIRST and up, n of them as WEIR_HANDOVER=n in its environment. -1: the launcher is gone.
 * Does not wait. */
enum { SYS_LAUNCH_FDS = 8, SYS_LAUNCH_FIRST = 3 };
int sys_launch(int launcher, const int *fds, int n);
int sys_launched(void);                                    /* n in a program so started, else 0; said once */
int sys_pair_packets(int fd[2]);                           /* connected, keeps packets apart; neither end blocks */
/* Tells the service manager that started us (NOTIFY_SOCKET, sd_notify(3)) that this process is ready and the one to watch. Harmless without one. */
void sys_notify_ready(void);
bool sys_reap(int child);                                  /* whether it has ended; then it is forgotten */
int sys_wait(int fd, unsigned events, int timeout_ms);     /* 1: ready or gone, 0: time is up. fd -1: sleeps. Blocks: start and end only */

#endif
