"""The coordinator as the course exercise has it.

Usage: python3 coord.py PORT...

It serves one client at a time, contacts the replicas one after another without
a time-out, returns the first reply, and dies when a replica refuses.
"""
import socket
import sys
import time


def forward(port, message):
    with socket.create_connection(("127.0.0.1", port)) as replica:
        replica.send(message.encode("ascii"))
        return replica.recv(4096)


def main():
    ports = [int(word) for word in sys.argv[1:]]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print("\nListening on port %d ..." % listener.getsockname()[1])
    while True:
        client, _ = listener.accept()
        with client:
            request = client.recv(4096).decode("ascii", "replace").rstrip("\n")
            words = request.split(" ")
            if len(words) != 3 or not words[2].lstrip("-").isdigit():
                continue
            stamp = time.strftime("# %a, %d %b %Y %H:%M:%S +0000", time.gmtime())
            replies = [forward(port, request + ";" + stamp) for port in ports]
            try:
                client.send(replies[0])
            except OSError:
                pass


main()
