/* What the TLS engine's error codes mean, in words for logs and operators. */
#ifndef NET_TLS_WORDS_H
#define NET_TLS_WORDS_H

#include <stdint.h>

/* code: BearSSL's (1..31 records and handshake, 33..62 certificates, 256+n alert n received, 512+n alert n sent). Static
 * text, never peer bytes. */
const char *tls_words(int code);
/* The alert that tells a server why its certificates were refused (RFC 5246 7.2.2). */
uint8_t tls_alert_for(int code);

#endif
