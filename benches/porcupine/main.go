// Measures Porcupine on histories that `rsm-check convert --to porcupine` wrote.
//
// Why it exists: the ratios in docs/benchmarks-models.md must come from Porcupine
// itself. It knows nothing of rsm-check but the format of the events, and no build or
// test of rsm-check needs it. Usage: porcupine MODEL LIMIT FILE, MODEL being bank (100
// on each account, strict guard), register, cas-register, kv, fifo-queue or counter.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
)

type line struct {
	Id     int
	Kind   string
	Client int
	Value  map[string]interface{}
}

// call is what was asked.
type call struct {
	f     string
	value interface{}
}

// reply is what was told; known is false if nobody knows what came of it.
type reply struct {
	known bool
	value interface{}
}

func number(value interface{}) int64 {
	n, err := value.(json.Number).Int64()
	check(err)
	return n
}

// cell reads JSON null as -1; the values of these histories are 0 and more.
func cell(value interface{}) int64 {
	if value == nil {
		return -1
	}
	return number(value)
}

func register(state, input, output interface{}) (bool, interface{}) {
	held, ask, told := state.(int64), input.(call), output.(reply)
	switch ask.f {
	case "read":
		return !told.known || cell(told.value) == held, held
	case "write":
		return true, cell(ask.value)
	default:
		pair := ask.value.([]interface{})
		if cell(pair[0]) != held {
			// What is not known may have failed.
			return !told.known, held
		}
		return true, cell(pair[1])
	}
}

func queue(state, input, output interface{}) (bool, interface{}) {
	held, ask, told := state.(string), input.(call), output.(reply)
	if ask.f == "enqueue" {
		return true, held + fmt.Sprint(ask.value) + ","
	}
	end := strings.IndexByte(held, ',')
	if end < 0 {
		return !told.known, held
	}
	return !told.known || held[:end] == fmt.Sprint(told.value), held[end+1:]
}

func counter(state, input, output interface{}) (bool, interface{}) {
	sum, ask, told := state.(int64), input.(call), output.(reply)
	if ask.f == "add" {
		return true, sum + number(ask.value)
	}
	return !told.known || number(told.value) == sum, sum
}

const accounts = 64

// bank has a fixed array as its state: it is copied and compared by value.
func bank(names map[string]int) func(state, input, output interface{}) (bool, interface{}) {
	account := func(name interface{}) int {
		text := fmt.Sprint(name)
		if _, known := names[text]; !known {
			names[text] = len(names)
		}
		return names[text]
	}
	return func(state, input, output interface{}) (bool, interface{}) {
		held, ask, told := state.([accounts]int64), input.(call), output.(reply)
		if ask.f == "read" {
			if seen, is := told.value.(map[string]interface{}); is && told.known {
				for name, value := range seen {
					if held[account(name)] != number(value) {
						return false, held
					}
				}
			}
			return true, held
		}
		asked := ask.value.(map[string]interface{})
		from, to, amount := account(asked["from"]), account(asked["to"]), number(asked["amount"])
		if held[from] > amount && from != to {
			held[from] -= amount
			held[to] += amount
		}
		if value, is := told.value.(map[string]interface{}); is && told.known {
			if seen, is := value["balances"].([]interface{}); is {
				return held[from] == number(seen[0]) && held[to] == number(seen[1]), held
			}
		}
		return true, held
	}
}

func perKey(history []porcupine.Event) [][]porcupine.Event {
	parts, keys, of := map[string][]porcupine.Event{}, []string{}, map[int]string{}
	for _, event := range history {
		if event.Kind == porcupine.CallEvent {
			ask := event.Value.(call)
			pair := ask.value.([]interface{})
			of[event.Id] = fmt.Sprint(pair[0])
			event.Value = call{ask.f, pair[1]}
		} else if told := event.Value.(reply); told.value != nil {
			event.Value = reply{told.known, told.value.([]interface{})[1]}
		}
		key := of[event.Id]
		if _, known := parts[key]; !known {
			keys = append(keys, key)
		}
		parts[key] = append(parts[key], event)
	}
	sort.Strings(keys)
	all := [][]porcupine.Event{}
	for _, key := range keys {
		all = append(all, parts[key])
	}
	return all
}

func model(name string) porcupine.Model {
	switch name {
	case "bank":
		var start [accounts]int64
		for at := range start {
			start[at] = 100
		}
		return porcupine.Model{Init: func() interface{} { return start }, Step: bank(map[string]int{})}
	case "register", "cas-register":
		return porcupine.Model{Init: func() interface{} { return int64(-1) }, Step: register}
	case "kv":
		return porcupine.Model{PartitionEvent: perKey, Init: func() interface{} { return int64(-1) }, Step: register}
	case "fifo-queue":
		return porcupine.Model{Init: func() interface{} { return "" }, Step: queue}
	case "counter":
		return porcupine.Model{Init: func() interface{} { return int64(0) }, Step: counter}
	}
	fmt.Fprintf(os.Stderr, "%q is no model; accepted: bank, register, cas-register, kv, fifo-queue, counter\n", name)
	os.Exit(2)
	return porcupine.Model{}
}

// events leaves out what failed: it did not happen.
func events(path string) []porcupine.Event {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	all, failed := []porcupine.Event{}, map[int]bool{}
	decoder := json.NewDecoder(bufio.NewReaderSize(file, 1<<20))
	decoder.UseNumber()
	for decoder.More() {
		var one line
		check(decoder.Decode(&one))
		event := porcupine.Event{ClientId: one.Client, Id: one.Id}
		if one.Kind == "call" {
			event.Value = call{one.Value["f"].(string), one.Value["value"]}
		} else {
			event.Kind = porcupine.ReturnEvent
			event.Value = reply{one.Value["type"] == "ok", one.Value["value"]}
			failed[one.Id] = one.Value["type"] == "fail"
		}
		all = append(all, event)
	}
	kept := all[:0]
	for _, event := range all {
		if !failed[event.Id] {
			kept = append(kept, event)
		}
	}
	return kept
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func usage() syscall.Rusage {
	var now syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &now))
	return now
}

// processor is the time of all threads, the garbage collector's too.
func processor(used syscall.Rusage) time.Duration {
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func milliseconds(took time.Duration) float64 {
	return float64(took.Microseconds()) / 1e3
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: porcupine MODEL LIMIT FILE, such as: porcupine register 20s events.jsonl")
		os.Exit(2)
	}
	limit, err := time.ParseDuration(os.Args[2])
	check(err)
	judge, history := model(os.Args[1]), events(os.Args[3])
	if len(history) == 0 {
		check(fmt.Errorf("%s: no operation", os.Args[3]))
	}
	start, before := time.Now(), usage()
	result := porcupine.CheckEventsTimeout(judge, history, limit)
	took, after := time.Since(start), usage()
	fmt.Printf("%s %s %.2f ms, processor time %.2f ms, peak %d MiB\n", os.Args[3], result,
		milliseconds(took), milliseconds(processor(after)-processor(before)), after.Maxrss>>10)
}
