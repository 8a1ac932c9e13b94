/* Certificates for the TLS tests, made afresh by the openssl command in a temporary folder that is removed at exit.
 * Private keys never enter the repository, and nothing expires. */
#ifndef TEST_TLS_CERTS_H
#define TEST_TLS_CERTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/slice.h"

static char certs_dir[64];

static const char certs_script[] =
    "set -e\n"
    "cat >cnf <<'X'\n"
    "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=x\n"
    "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
    "[ca0]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n"
    "[canc]\nbasicConstraints=critical,CA:TRUE\nnameConstraints=permitted;DNS:elsewhere.test\n"
    "[cacl]\nbasicConstraints=critical,CA:TRUE\nextendedKeyUsage=clientAuth\n"
    "[notca]\nbasicConstraints=CA:FALSE\n"
    "[leaf]\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
    "subjectAltName=DNS:api.example.test,DNS:*.wild.example.test,IP:127.0.0.1,IP:::1\n"
    "[plain]\nsubjectAltName=DNS:api.example.test\n"
    "[client]\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:api.example.test\n"
    "[anyeku]\nextendedKeyUsage=anyExtendedKeyUsage\nsubjectAltName=DNS:api.example.test\n"
    "[criteku]\nextendedKeyUsage=critical,serverAuth\nsubjectAltName=DNS:api.example.test\n"
    "[encipher]\nkeyUsage=critical,keyEncipherment\nsubjectAltName=DNS:api.example.test\n"
    "[iponly]\nsubjectAltName=IP:10.1.2.3\n"
    "[none]\nsubjectKeyIdentifier=hash\n"
    "X\n"
    "ec() { openssl ecparam -name $2 -genkey -noout -out $1.key; }\n"
    "self() { openssl req -x509 -new -config cnf -key $1.key -subj /CN=$2 -days 400 -$3 -extensions $4 -out $1.pem; }\n"
    /* issue NAME KEY ISSUER EXTENSIONS [HASH] [COMMON NAME] */
    "issue() { openssl req -new -config cnf -key $2.key -subj /CN=${6:-$1} -out $1.csr\n"
    "  openssl x509 -req -in $1.csr -CA $3.pem -CAkey $3.key -CAcreateserial -days 200 -${5:-sha256} -extfile cnf"
    " -extensions $4 -out $1.pem 2>log; }\n"
    "ec root secp384r1; self root Root sha384 ca\n"
    "ec inter prime256v1; issue inter inter root ca0 sha384\n"
    "ec leaf prime256v1; issue leaf leaf inter leaf\n"
    "ec p384 secp384r1; issue p384 p384 inter leaf\n"
    "ec p521 secp521r1; issue p521 p521 inter leaf\n"
    "openssl genrsa -out rroot.key 2048 2>log; self rroot RootRSA sha256 ca\n"
    "openssl genrsa -out rsa.key 2048 2>log; issue rsa rsa rroot leaf\n"
    "openssl genrsa -out weak.key 1024 2>log; issue weak weak rroot leaf\n"
    "for x in plain client anyeku criteku encipher iponly none; do issue $x leaf inter $x; done\n"
    "issue cn leaf inter none sha256 cn.example.test\n"
    "issue sha1 leaf inter plain sha1\n"
    "issue canc inter root canc; cp inter.key canc.key; issue undernc leaf canc plain\n"
    "issue cacl inter root cacl; cp inter.key cacl.key; issue undercl leaf cacl plain\n"
    "issue notca inter root notca; cp inter.key notca.key; issue undernotca leaf notca plain\n"
    "issue sub inter inter ca; cp inter.key sub.key; issue deep leaf sub plain\n"
    "cp leaf.key selfs.key; openssl req -x509 -new -config cnf -key selfs.key -subj /CN=selfs -days 400 -sha256"
    " -extensions leaf -out selfs.pem\n"
    "cat leaf.pem inter.pem >chain.pem; cat leaf.pem inter.pem root.pem >chain3.pem; cat inter.pem leaf.pem >wrong.pem\n"
    "for x in p384 p521 plain client anyeku criteku encipher iponly none cn sha1; do cat $x.pem inter.pem >$x.chain; done\n"
    "cat undernc.pem canc.pem >undernc.chain; cat undercl.pem cacl.pem >undercl.chain\n"
    "cat undernotca.pem notca.pem >undernotca.chain; cat deep.pem sub.pem inter.pem >deep.chain\n"
    "cat leaf.pem inter.pem rsa.pem weak.pem root.pem >extra.chain\n"
    "for i in 1 2 3 4 5 6 7 8 9 10; do cat inter.pem; done >many; cat leaf.pem many >many.chain\n"
    "cat root.pem rroot.pem >bundle.pem\n"
    "openssl pkcs8 -topk8 -nocrypt -in leaf.key -out leaf.p8; openssl pkcs8 -topk8 -nocrypt -in rsa.key -out rsa.p8\n"
    "openssl rsa -traditional -in rsa.key -out rsa.p1 2>log\n"
    "openssl pkcs8 -topk8 -passout pass:x -in leaf.key -out leaf.enc\n"
    "openssl rsa -traditional -aes128 -passout pass:x -in rsa.key -out rsa.enc 2>log\n"
    "openssl ecparam -name prime256v1 -genkey -out params.key\n";

static void certs_remove(void)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", certs_dir);
    if (certs_dir[0] && system(cmd) != 0)
        printf("could not remove %s\n", certs_dir);
}

/* False: no openssl command here, or it failed. */
static inline bool certs_make(void)
{
    char cmd[128];
    FILE *sh;

    if (system("command -v openssl >/dev/null 2>&1") != 0) {
        printf("left out: no openssl command, so no certificates\n");
        return false;
    }
    snprintf(certs_dir, sizeof certs_dir, "/tmp/weir-certs-XXXXXX");
    if (!mkdtemp(certs_dir))
        return false;
    atexit(certs_remove);
    snprintf(cmd, sizeof cmd, "cd '%s' && sh >out 2>&1 || { cat out log; false; }", certs_dir);
    sh = popen(cmd, "w");
    if (!sh)
        return false;
    fputs(certs_script, sh);
    return pclose(sh) == 0;
}

/* A file of the folder; the text lives until exit. */
static inline struct slice certs_file(const char *name)
{
    static char store[4 << 20];
    static size_t used;
    char path[160];

    snprintf(path, sizeof path, "%s/%s", certs_dir, name);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("no file %s\n", path);
        exit(1);
    }
    struct slice text = {store + used, fread(store + used, 1, sizeof store - used, f)};
    fclose(f);
    used += text.n;
    return text;
}

#endif
