// Reads requests as Node's llhttp reads them; input and output as those of read_requests.c, but "bad" names llhttp's code.
const { HTTPParser } = process.binding("http_parser");
const all = require("node:fs").readFileSync(0);
const hex = (b) => (b.length ? b.toString("hex") : "-");
const { kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete } = HTTPParser;
const methods = process.binding("http_parser").methods || HTTPParser.methods;
const out = [];
for (let at = 0; at < all.length; ) {
  const n = all.readUInt32LE(at);
  const raw = Buffer.from(all.subarray(at + 4, at + 4 + n));
  at += 4 + n;
  const p = new HTTPParser();
  let head = null, body = [], done = false, longUrl = "";
  p.initialize(HTTPParser.REQUEST, {});
  p[kOnHeaders] = (headers, url) => { if (!head) longUrl += url; };
  p[kOnHeadersComplete] = (major, minor, headers, method, url, status, reason, upgrade, keep) => {
    if (!head) head = { minor, method: methods[method], url: longUrl + (url ?? ""), keep };
    return 0;
  };
  p[kOnBody] = (b, offset, length) => { if (!done) body.push(Buffer.from(offset === undefined ? b : b.subarray(offset, offset + length))); };
  p[kOnMessageComplete] = () => { done = true; };
  const r = p.execute(raw);
  if (done) out.push(`ok ${head.method} ${hex(Buffer.from(head.url, "latin1"))} ${head.minor} ${head.keep ? 1 : 0} ${hex(Buffer.concat(body))}`);
  else if (r instanceof Error) out.push("bad " + r.code);
  else out.push("more");
  p.close();
}
process.stdout.write(out.join("\n") + "\n");
