"""A next server that speaks TLS, well or badly: Python's, so that it is not ours.

Arguments: mode, certificate, key. Says its port in the first line, then what happens:
`connection N`, `tls VERSION`, `heard LINE`, `mail OCTETS`, `closed`.
"""

import socket, ssl, sys, threading

mode, certificate, key = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
if mode == "tls12":
    context.maximum_version = ssl.TLSVersion.TLSv1_2
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def lines(stream):
    buffer = b""
    while True:
        while b"\n" not in buffer:
            more = stream.recv(65536)
            if not more:
                return
            buffer += more
        line, buffer = buffer.split(b"\n", 1)
        yield line.rstrip(b"\r").decode()


def secure(stream):
    stream = context.wrap_socket(stream, server_side=True, suppress_ragged_eofs=False)
    say("tls", stream.version(), "resumed" if stream.session_reused else "new")
    return stream


def starttls(stream):
    """What follows STARTTLS; none when the session is over."""
    if mode == "refuse":
        stream.sendall(b"454 4.7.0 TLS is not available\r\n")
        return stream
    if mode == "unknown":
        stream.sendall(b"502 5.5.1 What is that?\r\n")
        return stream
    if mode == "cut":
        return None
    if mode == "inject":
        stream.sendall(b"220 Go\r\n250-next.example.net\r\n250 AUTH PLAIN\r\n")
        return None if stream.recv(1) == b"" else None
    stream.sendall(b"220 Go\r\n")
    if mode == "half":
        # A ServerHello that is cut after its first octets.
        stream.recv(65536)
        stream.sendall(b"\x16\x03\x03\x00\x7a\x02\x00")
        return None
    if mode == "garbage":
        stream.sendall(b"this is no TLS at all\r\n" * 50)
        stream.recv(65536)
        return None
    return secure(stream)


def talk(stream):
    stream.sendall(b"220 next.example.net ESMTP\r\n")
    tls = isinstance(stream, ssl.SSLSocket)
    content = None
    again = True
    while again:
        again = False
        for line in lines(stream):
            if content is not None:
                if line == ".":
                    say("mail", content)
                    content = None
                    stream.sendall(b"250 2.0.0 Taken\r\n")
                else:
                    content += len(line)
                continue
            say("heard", line)
            verb = line.split(" ")[0]
            if verb == "EHLO":
                offer = mode != "strip" and not tls
                stream.sendall(b"250-next.example.net\r\n250-SIZE 0\r\n250-PIPELINING\r\n")
                stream.sendall(b"250-AUTH PLAIN LOGIN\r\n")
                stream.sendall(b"250 STARTTLS\r\n" if offer else b"250 8BITMIME\r\n")
            elif verb == "STARTTLS":
                stream = starttls(stream)
                if stream is None:
                    return
                tls = isinstance(stream, ssl.SSLSocket)
                again = True
                break
            elif verb == "DATA" and mode == "abrupt":
                # The connection is cut without close_notify.
                return
            elif verb == "DATA":
                content = 0
                stream.sendall(b"354 Go on\r\n")
            elif verb == "QUIT":
                stream.sendall(b"221 Bye\r\n")
                return
            else:
                stream.sendall(b"250 2.0.0 Ok\r\n")


def serve(stream, number):
    say("connection", number)
    try:
        if mode == "silent":
            stream.recv(1)
        elif mode == "implicit":
            stream = secure(stream)
            talk(stream)
        else:
            talk(stream)
    except (OSError, ValueError) as error:
        say("error", str(error).replace("\n", " "))
    say("closed", number)
    try:
        stream.close()
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", 0))
say("port", listener.getsockname()[1])
number = 0
while True:
    accepted, _ = listener.accept()
    number += 1
    threading.Thread(target=serve, args=(accepted, number), daemon=True).start()
