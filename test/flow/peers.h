/* The other ends: clients that a test moves by hand, and providers at 10.0.0.N:80 that play scripts. */
#ifndef TEST_FLOW_PEERS_H
#define TEST_FLOW_PEERS_H

#include "base/slice.h"
#include "fake_sys.h"

/* ---- Scripts: what a provider does on one connection, step after step. ---- */

enum act_kind {
    ACT_END,      /* nothing more: it stays silent and open */
    ACT_READ,     /* waits for one whole request */
    ACT_READ_SOME,/* waits for n bytes in all */
    ACT_SEND,     /* text of n bytes, at once or `piece` bytes each `ms` */
    ACT_CHUNK,    /* the same text as one HTTP chunk */
    ACT_ANSWER,   /* a whole answer: status and fields of `head`, text as its body with its length */
    ACT_ECHO,     /* a plain answer (piece 0) or a stream that says the "tag" of the last request */
    ACT_FLOOD,    /* n bytes of letters, as fast as they are taken */
    ACT_WAIT,     /* ms */
    ACT_FIN,
    ACT_RST,
    ACT_WINDOW,   /* n: how much more of the gate's bytes it takes unread from now on; 0: none */
    ACT_AGAIN,    /* from the beginning, for the next request */
};

struct act {
    enum act_kind kind;
    const char *text;
    size_t n, piece;
    int ms;
    const char *head;
};

#define READ {.kind = ACT_READ}
#define READ_SOME(bytes) {.kind = ACT_READ_SOME, .n = (bytes)}
#define SEND(lit) {.kind = ACT_SEND, .text = "" lit, .n = sizeof(lit) - 1}
#define DRIP(lit, bytes, every_ms) {.kind = ACT_SEND, .text = "" lit, .n = sizeof(lit) - 1, .piece = (bytes), .ms = (every_ms)}
#define CHUNK(lit) {.kind = ACT_CHUNK, .text = "" lit, .n = sizeof(lit) - 1}
#define DRIP_CHUNK(lit, bytes, every_ms) {.kind = ACT_CHUNK, .text = "" lit, .n = sizeof(lit) - 1, .piece = (bytes), .ms = (every_ms)}
#define LAST_CHUNK SEND("0\r\n\r\n")
#define ANSWER(status_and_fields, lit) {.kind = ACT_ANSWER, .head = "" status_and_fields, .text = "" lit, .n = sizeof(lit) - 1}
#define PLAIN(lit) ANSWER("200 OK\r\ncontent-type: application/json\r\n", lit)
#define FAIL(status, lit) ANSWER(status "\r\ncontent-type: application/json\r\n", lit)
#define ECHO {.kind = ACT_ECHO}
#define ECHO_STREAM {.kind = ACT_ECHO, .piece = 1}
#define FLOOD(bytes) {.kind = ACT_FLOOD, .n = (bytes)}
#define WAIT(wait_ms) {.kind = ACT_WAIT, .ms = (wait_ms)}
#define FIN {.kind = ACT_FIN}
#define RST {.kind = ACT_RST}
#define WINDOW(bytes) {.kind = ACT_WINDOW, .n = (bytes)}
#define AGAIN {.kind = ACT_AGAIN}
#define END {.kind = ACT_END}

enum { PROVIDERS = 10, CONNS_MAX = 256, REQUESTS_MAX = 1024 };

enum reach { REACH_UP, REACH_REFUSED, REACH_BLACK_HOLE, REACH_UNREACHABLE, REACH_SLOW /* 3 s */ };

/* One connection to a provider. */
struct pconn {
    struct peer peer;
    const struct act *script;
    size_t at, done_in_act, read_off; /* step, bytes of it that left, where the next request begins in peer.got */
    int64_t due_ms;
    bool waiting, holds;               /* in a timed step; takes no more bytes */
    size_t sent;
    struct slice last;                 /* the last whole request */
    int64_t opened_ms;
    unsigned requests;
};

struct provider_end {
    enum reach reach;
    const struct act *script;      /* of connections for which there is no own one */
    const struct act *own[8];      /* of the first ones */
    struct pconn *conn[CONNS_MAX];
    unsigned nconns;
    struct slice request[REQUESTS_MAX]; /* each whole request, copied */
    int64_t request_ms[REQUESTS_MAX];
    unsigned nrequests;
};

/* provider(3) is at 10.0.0.3:80. */
struct provider_end *provider(int n);
void provider_plays(int n, const struct act *script);               /* also for later connections */
void provider_plays_first(int n, unsigned connection, const struct act *script);
void provider_is(int n, enum reach reach);
struct slice provider_request(int n, unsigned k);                     /* {NULL,0} when there was none */
struct slice provider_body(int n, unsigned k);
bool provider_saw(int n, unsigned k, const char *text);
unsigned providers_open(void);                                        /* connections the gate still holds */

struct client {
    struct peer peer;
    bool reading;        /* takes what comes; else by hand with client_take */
    size_t read_off;     /* where the next answer begins */
    bool open;
};

struct client *client_open(void);
struct client *client_open_at(unsigned nth); /* the nth listener, 0: the gate's */
void client_send(struct client *c, const char *text);
void client_send_n(struct client *c, const void *p, size_t n);
void client_fin(struct client *c);
void client_rst(struct client *c);
void client_close(struct client *c); /* gone, with all its memory: last thing to do with it */
bool client_ended(const struct client *c); /* the gate has ended the connection */

void peers_reset(void);
/* Lets every provider play as far as it can now; true when something moved. */
bool peers_play(void);
/* When the next timed step is due; -1: none. */
int64_t peers_due_ms(void);

#endif
