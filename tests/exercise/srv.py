"""A replica as the course exercise has it: small, real, and wrong in instructive ways.

Usage: python3 srv.py DATAFILE

It deletes its data file at the start, rewrites it in place for every request,
takes one read for one message and never flushes its standard output.
"""
import os
import socket
import sys


def load(path):
    balances = {}
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                if not line.startswith("#"):
                    name, balance = line.split()
                    balances[name] = int(balance)
    return balances


def store(path, time_line, balances):
    with open(path, "w") as file:
        file.write(time_line + "\n")
        for name in sorted(balances):
            file.write("%s %d\n" % (name, balances[name]))


def serve(connection, path):
    message = connection.recv(4096).decode("ascii").strip()
    if not message:
        return
    request, time_line = message.split(";", 1)
    sender, receiver, amount = request.split(" ")
    amount = int(amount)
    balances = load(path)
    before_from = balances.setdefault(sender, 100)
    balances.setdefault(receiver, 100)
    if before_from > amount:
        balances[sender] -= amount
        balances[receiver] += amount
    store(path, time_line, balances)
    connection.send(("%d %d" % (balances[sender], balances[receiver])).encode("ascii"))


def main():
    path = sys.argv[1]
    if os.path.exists(path):
        os.remove(path)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    print("\nListening on port %d ..." % listener.getsockname()[1])
    while True:
        connection, _ = listener.accept()
        try:
            serve(connection, path)
        except (ValueError, OSError):
            pass
        finally:
            connection.close()


main()
