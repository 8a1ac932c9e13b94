"""Certificate chains made by openssl at test time: a root and an intermediate of each kind, and leaves that are right or
wrong in one way."""
import pathlib
import subprocess

KINDS = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
CONF = """
[ca]
default_ca = d
[d]
dir = %(dir)s
database = %(dir)s/index.txt
new_certs_dir = %(dir)s
serial = %(dir)s/serial
default_md = sha256
policy = p
unique_subject = no
email_in_dn = no
[p]
commonName = supplied
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = %(san)s
"""


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Authority:
    def __init__(self, folder, kind, name):
        self.dir, self.kind, self.name, self.count = pathlib.Path(folder), kind, name, 0
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "index.txt").touch()
        (self.dir / "serial").write_text("1000\n")
        self.root = self.make("root", "CN=%s root" % name, "root", None)
        self.mid = self.make("mid", "CN=%s intermediate" % name, "root", self.root)
        self.ca = self.root[0]  # what a client must trust

    def make(self, file, subject, section, issuer, san="DNS:up.test", start="20200101000000Z", end="20490101000000Z"):
        key, csr, crt, conf = (self.dir / (file + e) for e in (".key", ".csr", ".crt", ".cnf"))
        conf.write_text(CONF % {"dir": self.dir, "san": san})
        run("openssl", "genpkey", *KINDS[self.kind], "-out", key)
        run("openssl", "req", "-new", "-config", conf, "-key", key, "-subj", "/" + subject, "-out", csr)
        sign = ["-selfsign", "-keyfile", key] if issuer is None else ["-cert", issuer[0], "-keyfile", issuer[1]]
        run("openssl", "ca", "-batch", "-notext", "-config", conf, "-extensions", section, "-in", csr, "-out", crt, "-startdate", start,
            "-enddate", end, *sign)
        return crt, key

    def leaf(self, san="DNS:up.test", issuer="mid", chain=True, **more):
        """(chain file, key file)"""
        self.count += 1
        name = "leaf%d" % self.count
        crt, key = self.make(name, "CN=leaf", "leaf", {"mid": self.mid, "root": self.root, None: None}[issuer], san, **more)
        full = self.dir / (name + ".pem")
        full.write_text(crt.read_text() + (self.mid[0].read_text() if issuer == "mid" and chain else ""))
        return full, key
