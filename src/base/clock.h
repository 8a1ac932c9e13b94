/* One clock per loop turn: read once, so that all who ask within a turn agree on now. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

void clock_update(void);     /* the loop, once per turn; start-up, once */
int64_t clock_ms(void);      /* monotonic, as of this turn */
int64_t clock_wall_ms(void); /* epoch ms as of this turn; logs, certificates, HTTP dates */

#endif
