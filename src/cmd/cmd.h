/* The commands of the command line. Each returns the process's exit code: 0 fine, 1 refused (a bad config, an address that is taken), 2 wrong usage. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/addr.h"

struct options {
    const char *config; /* path after -c; NULL: none given */
    const char *to;     /* after --to: where a new master key is */
    char *const *argv;  /* as it came, for who starts this program once more */
    bool salvage;       /* --salvage: go on with what is intact of a damaged state */
};

int cmd_serve(const struct options *o);
int cmd_check(const struct options *o);
int cmd_demo(const struct options *o);
int cmd_rekey(const struct options *o);
int cmd_token(const struct options *o);
int cmd_healthcheck(const struct options *o);
int cmd_version(const struct options *o);

/* ---- Shared by the commands. ---- */

/* The process's environment and files, for conf_load. */
extern const struct conf_env cmd_env;

/* Reads and validates a config file; on an error prints FILE:LINE:COLUMN: TEXT on stderr and returns NULL. */
struct conf *cmd_load(const char *path);

/* The same in two steps, for who goes on to need the text: a copy in memory of its own, to be given back wiped. False with why. */
enum { CMD_WHY_MAX = 1024 }; /* a path and conf_error's text; longer paths are cut */
bool cmd_read_text(const char *path, struct slice *out, char *why, size_t cap);
void cmd_free_text(struct slice text);
struct conf *cmd_load_text(const char *path, struct slice text);

/* Provider keys that hold a secret; the snapshot also counts the empty credentials of providers that need none. */
uint32_t cmd_count_keys(const struct conf *c);

/* A fresh access key: "weir_" and 40 letters and digits from the kernel's entropy, NUL-terminated. False: no entropy. */
enum { TOKEN_LEN = 45 };
bool cmd_make_token(char out[TOKEN_LEN + 1]);

/* Starts everything in order and listens. False with a message already on stderr. After that cmd_run() serves until a signal ends it and
 * returns the exit code. */
bool cmd_start(struct conf *c);
const struct addr *cmd_address(void);
uint16_t cmd_port(void);
int cmd_run(void);

#endif
