"""Writes a long right history of a bank: python3 generate.py OPERATIONS [WRONG_AT] > FILE

Ten clients in a closed loop, 8 accounts of 100, amounts 1 to 100 under the strict
guard; each operation takes effect at a random moment while it is open. The result of
operation number WRONG_AT is one too high.
"""
import random
import sys


def main():
    total = int(sys.argv[1])
    wrong_at = int(sys.argv[2]) if len(sys.argv) > 2 else -1
    draw = random.Random(1).random
    balances = {name: 100 for name in "abcdefgh"}
    names = list(balances)
    line = '{"index":%d,"time":%d,"process":%d,"type":"%s","f":"transfer","value":{"from":"%s","to":"%s","amount":%d%s}}\n'
    clients = [None] * 10
    begun, ended, index, out = 0, 0, 0, []
    while ended < total:
        process = int(draw() * 10)
        state = clients[process]
        if state is None:
            if begun == total:
                continue
            one = int(draw() * 8)
            other = (one + 1 + int(draw() * 7)) % 8
            call = (names[one], names[other], 1 + int(draw() * 100))
            clients[process] = [call, None, begun]
            begun += 1
            out.append(line % ((index, index * 1000, process, "invoke") + call + ("",)))
        elif state[1] is None:
            debited, credited, amount = state[0]
            if balances[debited] > amount:
                balances[debited] -= amount
                balances[credited] += amount
            state[1] = (balances[debited] + (state[2] == wrong_at), balances[credited])
            continue
        else:
            out.append(line % ((index, index * 1000, process, "ok") + state[0] + (',"balances":[%d,%d]' % state[1],)))
            clients[process] = None
            ended += 1
        index += 1
        if len(out) >= 10000:
            sys.stdout.write("".join(out))
            out.clear()
    sys.stdout.write("".join(out))


main()
