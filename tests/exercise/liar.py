"""A coordinator that tells one lie, and perhaps lets one client hang before it.

Usage: python3 liar.py LIE_AT HANG_AT PORT...

Like coord.py, but the reply to request number LIE_AT names 1000 more than there is,
and request number HANG_AT (0: none) is carried out and never answered.
"""
import socket
import sys
import time


def forward(port, message):
    with socket.create_connection(("127.0.0.1", port)) as replica:
        replica.send(message.encode("ascii"))
        return replica.recv(4096)


def main():
    lie_at, hang_at, *ports = [int(word) for word in sys.argv[1:]]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print("\nListening on port %d ..." % listener.getsockname()[1], flush=True)
    number, hanging = 0, []
    while True:
        client, _ = listener.accept()
        request = client.recv(4096).decode("ascii", "replace").rstrip("\n")
        if len(request.split(" ")) != 3:
            client.close()
            continue
        number += 1
        stamp = time.strftime("# %a, %d %b %Y %H:%M:%S +0000", time.gmtime())
        reply = [forward(port, request + ";" + stamp) for port in ports][0]
        if number == hang_at:
            hanging.append(client)
            continue
        if number == lie_at:
            words = reply.split()
            reply = b"%d %s" % (int(words[0]) + 1000, words[1])
        try:
            client.send(reply)
        except OSError:
            pass
        client.close()


main()
