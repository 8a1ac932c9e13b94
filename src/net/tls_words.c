/* Words for error codes: see tls_words.h. */
#include "net/tls_words.h"

#include "bearssl.h"

/* The peer sent this alert. */
static const char *received(int alert)
{
    switch (alert) {
    case 10: return "peer saw an unexpected TLS message";
    case 20: return "peer saw a damaged TLS record";
    case 40: return "peer refused: nothing in common, or it wants a client certificate";
    case 42: case 43: case 44: case 45: case 46: return "peer does not accept our certificate";
    case 48: return "peer does not know our CA";
    case 49: return "peer denied access";
    case 70: return "server requires TLS 1.3";
    case 80: return "peer has an internal TLS error";
    case 112: return "server does not know this name";
    case 116: return "server wants a client certificate";
    case 120: return "server has no http/1.1";
    default: return "peer ended TLS with an alert";
    }
}

/* We sent it. */
static const char *sent(int alert)
{
    switch (alert) {
    case 40: return "no cipher suite in common";
    case 70: return "peer offers no TLS 1.2";
    case 120: return "peer offers no http/1.1";
    default: return "TLS protocol violation";
    }
}

static const char *certificate(int code)
{
    switch (code) {
    case BR_ERR_X509_EXPIRED: return "certificate expired";
    case BR_ERR_X509_BAD_SERVER_NAME: return "certificate is for another name";
    case BR_ERR_X509_NOT_TRUSTED: return "unknown CA";
    case BR_ERR_X509_DN_MISMATCH: return "certificates in wrong order or one missing";
    case BR_ERR_X509_CRITICAL_EXTENSION: return "certificate with a restriction we cannot check";
    case BR_ERR_X509_NOT_CA: return "certificate issued by one that is no CA";
    case BR_ERR_X509_FORBIDDEN_KEY_USAGE: return "certificate is not for servers";
    case BR_ERR_X509_WEAK_PUBLIC_KEY: return "certificate key is too weak";
    case BR_ERR_X509_BAD_SIGNATURE: return "certificate with a wrong signature";
    case BR_ERR_X509_UNSUPPORTED: return "certificate of an unsupported kind (SHA-1, RSA-PSS or Ed25519)";
    case BR_ERR_X509_LIMIT_EXCEEDED: return "certificate chain too long";
    case BR_ERR_X509_EMPTY_CHAIN: return "server sent no certificate";
    default: return "certificate is malformed";
    }
}

const char *tls_words(int code)
{
    if (code >= BR_ERR_SEND_FATAL_ALERT)
        return sent(code - BR_ERR_SEND_FATAL_ALERT);
    if (code >= BR_ERR_RECV_FATAL_ALERT)
        return received(code - BR_ERR_RECV_FATAL_ALERT);
    if (code >= BR_ERR_X509_OK)
        return certificate(code);
    switch (code) {
    case BR_ERR_TOO_LARGE:
    case BR_ERR_BAD_LENGTH: return "TLS record too long";
    case BR_ERR_BAD_MAC: return "damaged TLS record";
    case BR_ERR_NO_RANDOM: return "no entropy";
    case BR_ERR_BAD_CIPHER_SUITE:
    case BR_ERR_BAD_VERSION: return "server chose what was not offered";
    case BR_ERR_BAD_FINISHED: return "TLS handshake was tampered with";
    case BR_ERR_BAD_SIGNATURE: return "server's key exchange has a wrong signature";
    case BR_ERR_WRONG_KEY_USAGE: return "certificate key may not sign";
    default: return "TLS protocol violation";
    }
}

uint8_t tls_alert_for(int code)
{
    switch (code) {
    case BR_ERR_X509_EXPIRED:
    case BR_ERR_X509_TIME_UNKNOWN: return 45;
    case BR_ERR_X509_NOT_TRUSTED: return 48;
    case BR_ERR_X509_UNSUPPORTED: return 43;
    case BR_ERR_X509_BAD_SERVER_NAME: return 46;
    case BR_ERR_BAD_SIGNATURE: return 51;
    default: return 42;
    }
}
