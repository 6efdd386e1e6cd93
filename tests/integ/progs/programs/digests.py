# OpenSSL as python calls it: digests and keys, each from the one before
import hashlib, hmac, sys, time

def say(*words):
    """A line in one write: a checkpoint between two writes of a line would show it cut in two. print() makes several, with PYTHONUNBUFFERED."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()

text = b"begin"
for step in range(1, int(sys.argv[1]) + 1):
    for name in ("sha256", "sha512", "sha3_256", "blake2b", "md5"):
        text = hashlib.new(name, text * 200).digest() + text[:32]
    key = hashlib.pbkdf2_hmac("sha256", text, b"salt", 200)
    text = hmac.new(key, text, "sha1").digest() + text[:40]
    time.sleep(0.002)
    say("step", step, text.hex()[:40])
