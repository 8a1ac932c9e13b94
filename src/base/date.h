/* Dates as texts and numbers. Pure. (The way back is log_time.) */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Days since 1970-01-01 of a date in the Gregorian calendar; month and day from 1. */
int64_t date_days(int64_t year, int64_t month, int64_t day);
/* RFC 3339: "2030-01-01T20:00:00Z", with a fraction or an offset too. Milliseconds since 1970, cut, not rounded. False: something else, a day that no
 * month has, or a time before 1970. */
bool date_parse(struct slice s, int64_t *wall_ms);

#endif
