"""Peers in a network namespace of their own, whose line is cut while they speak.

`client ADDRESS PORT` comes to the middle of a message and says `middle`.
`next ADDRESS PORT` takes mail; of the first message it takes some octets and says `middle`, of
those that come later all, and says `mail OCTETS`.
"""

import socket, sys, time

role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def say(*words):
    print(*words, flush=True)


def forever():
    while True:
        time.sleep(60)


def client():
    stream = socket.create_connection((address, port))
    replies = stream.makefile("rb")
    replies.readline()
    for line in (b"HELO c.example", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.net>", b"DATA"):
        stream.sendall(line + b"\r\n")
        replies.readline()
    stream.sendall(b"Subject: x\r\n\r\n" + b"line\r\n" * 1000)
    say("middle")
    forever()


def serve(stream, is_first):
    lines = stream.makefile("rb")
    stream.sendall(b"220 next.example\r\n")
    for line in lines:
        if line.upper().startswith(b"QUIT"):
            stream.sendall(b"221 bye\r\n")
            return
        if not line.upper().startswith(b"DATA"):
            stream.sendall(b"250 ok\r\n")
            continue
        stream.sendall(b"354 go\r\n")
        if is_first:
            stream.recv(1000)
            say("middle")
            forever()
        octets = 0
        for line in lines:
            if line == b".\r\n":
                break
            octets += len(line)
        stream.sendall(b"250 taken\r\n")
        say("mail", octets)


def next_server():
    listener = socket.create_server((address, port))
    say("ready")
    first, _ = listener.accept()
    import threading

    threading.Thread(target=serve, args=(first, True), daemon=True).start()
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve, args=(stream, False), daemon=True).start()


client() if role == "client" else next_server()
