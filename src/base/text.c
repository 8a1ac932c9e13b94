/* The formats of text.h. Invariant: n counts what the text needs, also past the end of out, so a caller can measure first. */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/must.h"
#include "base/sys.h"

struct text {
    char *out;
    size_t cap, n;
};

/* One conversion as it was asked for. */
struct field {
    bool left;
    int width, precision; /* -1: no precision */
    char length;          /* 'l' for l, ll, z and j: on our machines all of them are 64 bits; else 0 */
};

_Static_assert(sizeof(long) == sizeof(int64_t) && sizeof(size_t) == sizeof(int64_t), "l and z are 64 bits");

static void put(struct text *t, const char *p, size_t n)
{
    if (t->n < t->cap)
        memcpy(t->out + t->n, p, n < t->cap - t->n ? n : t->cap - t->n);
    t->n += n;
}

static void pad(struct text *t, int width, size_t used)
{
    for (size_t i = used; width > 0 && i < (size_t)width; i++)
        put(t, " ", 1);
}

static void put_field(struct text *t, const struct field *f, const char *p, size_t n)
{
    if (!f->left)
        pad(t, f->width, n);
    put(t, p, n);
    if (f->left)
        pad(t, f->width, n);
}

static void put_number(struct text *t, const struct field *f, uint64_t v, unsigned base, bool minus)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    if (minus)
        digits[--at] = '-';
    put_field(t, f, digits + at, sizeof digits - at);
}

static const char *read_number(const char *at, int *out)
{
    for (*out = 0; *at >= '0' && *at <= '9'; at++)
        *out = *out * 10 + (*at - '0');
    return at;
}

/* A va_list that functions can share: passing the bare type hands on an array on some machines and a copy on others. */
struct arguments {
    va_list ap;
};

/* From behind the '%' to the conversion's letter. */
static const char *read_field(const char *at, struct field *f, struct arguments *a)
{
    *f = (struct field){.precision = -1};
    if (*at == '-') {
        f->left = true;
        at++;
    }
    if (*at == '*') {
        f->width = va_arg(a->ap, int);
        at++;
    } else {
        at = read_number(at, &f->width);
    }
    if (*at == '.' && at[1] == '*') {
        f->precision = va_arg(a->ap, int);
        at += 2;
    } else if (*at == '.') {
        at = read_number(at + 1, &f->precision);
    }
    for (; *at == 'l' || *at == 'z' || *at == 'j'; at++)
        f->length = 'l';
    return at;
}

static void convert(struct text *t, char letter, const struct field *f, struct arguments *a)
{
    const char *s;
    char c;
    int64_t v;

    switch (letter) {
    case 's':
        s = va_arg(a->ap, const char *);
        put_field(t, f, s, f->precision < 0 ? strlen(s) : strnlen(s, (size_t)f->precision));
        return;
    case 'c':
        c = (char)va_arg(a->ap, int);
        put_field(t, f, &c, 1);
        return;
    case 'd':
        v = f->length ? va_arg(a->ap, int64_t) : va_arg(a->ap, int);
        put_number(t, f, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0);
        return;
    case 'u':
    case 'x':
        put_number(t, f, f->length ? va_arg(a->ap, uint64_t) : va_arg(a->ap, unsigned), letter == 'x' ? 16 : 10, false);
        return;
    case '%':
        put(t, "%", 1);
        return;
    }
    must_fail(__FILE__, __LINE__, "a conversion that base/text.h names");
}

int text_vformat(char *out, size_t cap, const char *format, va_list ap)
{
    struct text t = {out, cap ? cap - 1 : 0, 0};
    struct arguments a;

    va_copy(a.ap, ap);
    for (const char *at = format; *at; at++) {
        size_t plain = strcspn(at, "%");
        struct field f;

        put(&t, at, plain);
        at += plain;
        if (!*at)
            break;
        at = read_field(at + 1, &f, &a);
        convert(&t, *at, &f, &a);
    }
    va_end(a.ap);
    if (cap)
        out[t.n < cap ? t.n : cap - 1] = '\0';
    must(t.n < INT32_MAX);
    return (int)t.n;
}

int text_format(char *out, size_t cap, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = text_vformat(out, cap, format, ap);
    va_end(ap);
    return n;
}

void text_print(int fd, const char *format, ...)
{
    char text[TEXT_PRINT_MAX];
    va_list ap;
    size_t n, done = 0;

    va_start(ap, format);
    n = (size_t)text_vformat(text, sizeof text, format, ap);
    va_end(ap);
    if (n >= sizeof text)
        n = sizeof text - 1;
    while (done < n) {
        ssize_t wrote = sys_write(fd, text + done, n - done);

        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
}
