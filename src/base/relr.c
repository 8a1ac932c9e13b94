/* The first instructions of the shipped binary: it relocates itself from the packed table (DT_RELR), then goes to the C library's
 * own start. A position-independent weir has 1200 addresses in its tables; as the classic entries that musl before 1.2.4 knows
 * they cost 28 KB of file, packed half a kilobyte. Only the release build defines WEIR_PACKED_RELOCATIONS and enters here.
 *
 * Nothing works yet when this runs: no stack canary, no libc, no address that was not taken relative to the instruction. */
#if defined(WEIR_PACKED_RELOCATIONS) && defined(__x86_64__)
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

__attribute__((visibility("hidden"))) extern Elf64_Dyn _DYNAMIC[];
__attribute__((visibility("hidden"))) extern char __ehdr_start[]; /* the file's first byte: linked at 0, so its address is the bias */

void relr_apply(void);
void relr_start(void);

/* Each even entry is the place of an address; each odd one a bit map of which of the 63 places behind are addresses too. */
__attribute__((used, no_stack_protector)) void relr_apply(void)
{
    uintptr_t bias = (uintptr_t)__ehdr_start;
    const uintptr_t *entry = NULL;
    uintptr_t *at = NULL;
    size_t n = 0;

    for (Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == 36 /* DT_RELR, younger than many an elf.h */) {
            entry = (const uintptr_t *)(bias + d->d_un.d_ptr);
        } else if (d->d_tag == 35 /* DT_RELRSZ */) {
            n = d->d_un.d_val / sizeof(*entry);
            d->d_un.d_val = 0; /* a musl that knows the table finds it done */
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!(entry[i] & 1)) {
            at = (uintptr_t *)(bias + entry[i]);
            *at++ += bias;
            continue;
        }
        for (size_t bit = 0; bit < 63; bit++)
            if (entry[i] >> (bit + 1) & 1)
                at[bit] += bias;
        at += 63;
    }
}

/* The kernel comes here with the stack aligned and its own data on top, which _start wants to find as it was. */
__attribute__((naked, used)) void relr_start(void)
{
    __asm__("call relr_apply\n\tjmp _start");
}

#else
typedef int relr_unused; /* a file may not be empty */
#endif
