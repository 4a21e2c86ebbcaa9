"""Servers that misbehave, each in one way.

Usage: python3 server.py MODE srv DATAFILE
       python3 server.py MODE coord PORT...

What a mode does not spoil is done by the exercise's own programs, so that a run
goes as far as the one thing that is wrong lets it.
"""
import os
import runpy
import signal
import socket
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    os.write(1, text.encode("ascii"))


def listen(address="127.0.0.1"):
    listener = socket.socket()
    listener.bind((address, 0))
    listener.listen(64)
    return listener


def announce(listener):
    say("\nListening on port %d ...\n" % listener.getsockname()[1])


def exercise(role):
    """Goes on as the exercise's program, which reads its arguments from sys.argv."""
    runpy.run_path(os.path.join(HERE, "..", "exercise", role + ".py"), run_name="__main__")


def answer(act):
    """Serves for ever: `act` does what it likes with each connection."""
    listener = listen()
    announce(listener)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=one, args=(act, connection), daemon=True).start()


def one(act, connection):
    try:
        with connection:
            act(connection)
    except OSError:
        pass


# Before the port is told.


def silent(role):
    signal.pause()


def rubbish(role):
    """Neither text nor lines, for ever, and now and then almost the right words."""
    while True:
        os.write(1, os.urandom(4096) + b"\nListening on port 99999999 ...\nListening on port -1\n")


def exits(role):
    say("no such disk\n")
    sys.exit(3)


def floods_first(role):
    flood()
    exercise(role)


def flood():
    """A hundred megabytes."""
    line = b"x" * 1023 + b"\n"
    for _ in range(100 * 16):
        left = line * 64
        while left:
            left = left[os.write(1, left):]


# What is wrong with the port.


def no_listener(role):
    listener = listen()
    announce(listener)
    listener.close()
    signal.pause()


def other_port(role):
    """Tells the port of something else: here of its own second socket, which is deaf."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", 0))
    serving = listen()
    announce(deaf)
    while serving:
        serving.accept()[0].close()


def argument(role):
    """Tells a port that it was told."""
    say("Listening on port %s ...\n" % sys.argv[1])
    signal.pause()


def all_addresses(role):
    """Serves everyone: other machines reach it too."""
    bind = socket.socket.bind
    socket.socket.bind = lambda self, place: bind(self, ("0.0.0.0", place[1]))
    exercise(role)


# What is wrong with the replies.


def closes(role):
    answer(lambda connection: None)


def resets(role):
    def act(connection):
        connection.recv(4096)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    answer(act)


def garbage(role):
    def act(connection):
        connection.recv(4096)
        connection.sendall(b"\x00\xff balances? <none>\x1b[2J")

    answer(act)


def late(role):
    def act(connection):
        connection.recv(4096)
        time.sleep(60)
        connection.sendall(b"100 100")

    answer(act)


def trickle(role):
    """A byte now and then, never all of it."""

    def act(connection):
        while True:
            connection.sendall(b"1")
            time.sleep(0.05)

    answer(act)


def gigabyte(role):
    def act(connection):
        connection.recv(4096)
        much = b"1" * (1 << 20)
        for _ in range(1024):
            connection.sendall(much)

    answer(act)


# What is wrong with its processes.


def leaks(role):
    """Serves some; then opens connections to every replica and keeps them all."""
    accept, served, kept = socket.socket.accept, [], []

    def count(self):
        served.append(1)
        if len(served) == 20:
            threading.Thread(target=leak, daemon=True).start()
        return accept(self)

    def leak():
        while True:
            for port in sys.argv[1:]:
                try:
                    kept.append(socket.create_connection(("127.0.0.1", int(port)), 1))
                except OSError:
                    pass
            time.sleep(0.01)

    socket.socket.accept = count
    exercise(role)


def floods(role):
    threading.Thread(target=flood, daemon=True).start()
    exercise(role)


def escapes(role):
    """A child and a grandchild in sessions of their own, deaf to signals, with the
    terminal in their hands."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
            while True:
                time.sleep(1000)
    exercise(role)


def zombies(role):
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    exercise(role)


def ignores_stop(role):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    exercise(role)


def crashes_at_stop(role):
    def crash(*_):
        say("free(): invalid pointer\n")
        os.abort()

    signal.signal(signal.SIGTERM, crash)
    exercise(role)


def stops_itself(role):
    """Stands still some time after it told its port, as one that is being debugged."""
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGSTOP)).start()
    exercise(role)


MODES = [
    silent, rubbish, exits, floods_first,
    no_listener, other_port, argument, all_addresses,
    closes, resets, garbage, late, trickle, gigabyte,
    floods, leaks, escapes, zombies, ignores_stop, crashes_at_stop, stops_itself,
]

mode, role = sys.argv[1:3]
sys.argv[1:3] = []
{function.__name__: function for function in MODES}[mode](role)
