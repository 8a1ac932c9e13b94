/* Text from a format, without the C library's printf: that one brings 13 KB of floating point, wide characters and streams, of
 * which weir uses nothing. Understood: %s %c %d %u %x %%, the lengths l, ll, z and j, a width with or without '-', and a
 * precision for %s, each also as '*'. Anything else is a broken invariant; the compiler checks arguments as it does printf's. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* As snprintf: writes cap bytes at most, the last of them NUL (none when cap is 0), and returns the whole text's length. */
__attribute__((format(printf, 3, 4))) int text_format(char *out, size_t cap, const char *format, ...);
__attribute__((format(printf, 3, 0))) int text_vformat(char *out, size_t cap, const char *format, va_list ap);

/* To a terminal or a file, at once and blocking if that blocks; for commands, never for the serving loop. Texts are cut at
 * TEXT_PRINT_MAX, and what cannot be written is lost. */
enum { TEXT_PRINT_MAX = 8192, TEXT_OUT = 1, TEXT_ERR = 2 };
__attribute__((format(printf, 2, 3))) void text_print(int fd, const char *format, ...);

#endif
