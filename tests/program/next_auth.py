"""A next server that wants to know who we are: Python's hashlib and ssl, so that it is not ours.

Arguments: mechanisms (comma-separated), user, password or token, certificate, key. TLS begins at
once; behind `TLS1.2:` the mechanisms are offered in that version. Says its port in the first line,
then what happens: `flag y|n` (of SCRAM), `auth MECHANISM ok|no`, `mail`, `heard VERB`.
"""

import base64, hashlib, hmac, os, socket, ssl, sys, threading

mechanisms, user, secret, certificate, key = sys.argv[1:6]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if mechanisms.startswith("TLS1.2:"):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    mechanisms = mechanisms.removeprefix("TLS1.2:")
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def encode(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


class Session:
    def __init__(self, stream):
        self.stream = stream
        self.file = stream.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2].decode()

    def reply(self, text):
        self.stream.sendall(text.encode() + b"\r\n")

    def challenge(self, text):
        self.reply("334 " + encode(text))
        return base64.b64decode(self.line(), validate=True).decode()

    def plain(self, first):
        return (first if first is not None else self.challenge("")) == f"\0{user}\0{secret}"

    def login(self, first):
        name = first if first is not None else self.challenge("Username:")
        return (name, self.challenge("Password:")) == (user, secret)

    def xoauth2(self, first):
        if first == f"user={user}\1auth=Bearer {secret}\1\1":
            return True
        assert self.challenge('{"status":"401","schemes":"bearer"}') == ""
        return False

    def oauthbearer(self, first):
        gs2, rest = first.split("\1", 1)
        assert gs2 == f"n,a={user},", gs2
        if f"auth=Bearer {secret}" in rest.split("\1"):
            return True
        assert self.challenge('{"status":"invalid_token"}') == "\1"
        return False

    def scram(self, first):
        binding, _, bare = first.split(",", 2)
        assert binding in "ny", "the other flavour is not chosen"
        say("flag", binding)
        fields = dict(field.split("=", 1) for field in bare.split(","))
        assert fields["n"] == user, fields
        nonce, salt, count = fields["r"] + encode(os.urandom(12)), os.urandom(16), 4096
        server_first = f"r={nonce},s={encode(salt)},i={count}"
        final = self.challenge(server_first)
        without, proof = final.rsplit(",p=", 1)
        assert without == f"c={encode(binding + ',,')},r={nonce}", without
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, count)
        mac = lambda key, text: hmac.digest(key, text, "sha256")
        client_key = mac(salted, b"Client Key")
        message = ",".join([bare, server_first, without]).encode()
        signature = mac(hashlib.sha256(client_key).digest(), message)
        if bytes(a ^ b for a, b in zip(client_key, signature)) != base64.b64decode(proof):
            return False
        verifier = encode(mac(mac(salted, b"Server Key"), message))
        assert self.challenge("v=" + verifier) == ""
        return True

    def authenticate(self, words):
        first = base64.b64decode(words[2], validate=True).decode() if len(words) > 2 else None
        known = {
            "PLAIN": self.plain,
            "LOGIN": self.login,
            "XOAUTH2": self.xoauth2,
            "OAUTHBEARER": self.oauthbearer,
            "SCRAM-SHA-256": self.scram,
        }
        good = known[words[1]](first)
        say("auth", words[1], "ok" if good else "no")
        self.reply("235 2.7.0 Welcome" if good else "535 5.7.8 Not with that")
        return good

    def serve(self):
        inside = False
        self.reply("220 next.example.net ESMTP")
        while True:
            words = self.line().split(" ")
            say("heard", words[0])
            if words[0] == "EHLO":
                offer = " ".join(mechanisms.split(","))
                self.reply(f"250-next.example.net\r\n250-AUTH {offer}\r\n250 SIZE 0")
            elif words[0] == "AUTH":
                inside = self.authenticate(words)
            elif words[0] == "QUIT":
                return self.reply("221 Bye")
            elif not inside:
                self.reply("530 5.7.0 Who are you?")
            elif words[0] == "DATA":
                self.reply("354 Go on")
                while self.line() != ".":
                    pass
                say("mail")
                self.reply("250 2.0.0 Taken")
            else:
                self.reply("250 2.0.0 Ok")


def serve(stream):
    try:
        Session(context.wrap_socket(stream, server_side=True)).serve()
    except (OSError, EOFError, ValueError, AssertionError, KeyError) as error:
        say("error", type(error).__name__, str(error).replace("\n", " "))


listener = socket.create_server(("127.0.0.1", 0))
say("port", listener.getsockname()[1])
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
