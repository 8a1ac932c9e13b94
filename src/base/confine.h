/* What a running process may still ask of the kernel: a table of system calls made into a seccomp filter, and the rights that are given
 * up with it. Called once each when everything is started; there is no way back. The helper processes are forked before, so a
 * filter binds only the one that asked for it. */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sys.h"

enum confine_mode {
    CONFINE_ON,   /* a call that is not in the table fails with ENOSYS; starting programs or processes ends this one */
    CONFINE_KILL, /* any call that is not in the table ends this process: for tests */
    CONFINE_OFF,
};
enum confine_role {
    CONFINE_GATE,  /* the loop: sockets, reading files at a reload, no programs, no processes */
    CONFINE_STORE, /* the helper that writes stateDir: files, no sockets of its own */
};
enum { CONFINE_OPS_MAX = 256 };

/* Before the helpers are forked. Without it: off, so that a program of tests is bound by nothing. */
void confine_set_mode(enum confine_mode mode);
/* Gives up what the role does not need. False with *why (static) when the kernel has no filters or refuses them: then only
 * no_new_privs and the lost capabilities hold. */
bool confine(enum confine_role role, const char **why);

/* The filter itself, pure: how many operations out took; 0 for an architecture that nobody wrote down. */
size_t confine_filter(enum confine_role role, enum confine_mode mode, struct sys_filter_op out[CONFINE_OPS_MAX]);

#endif
