// The kit for Reactor plugins in Go: one file, standard library only; for gRPC, reactor_grpc.go beside it. Put it
// beside your main.go.
//
//	func main() {
//		Serve(Plugin{
//			Actions: map[string]Action{"double": func(call *Call) (any, error) {
//				var input struct{ Value int }
//				if err := call.Input(&input); err != nil {
//					return nil, err
//				}
//				return map[string]any{"result": input.Value * 2}, nil
//			}},
//		})
//	}
//
// The protocol keeps stdout for itself: what is printed goes to stderr, and so into the daemon's log.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const protocol = 1

// Action performs one call. Its context ends when the host cancels the call.
type Action func(call *Call) (any, error)

// Trigger sends events until its context ends.
type Trigger func(listen *Listen) error

// Plugin has actions and triggers by the names of plugin.yaml.
type Plugin struct {
	Actions  map[string]Action
	Triggers map[string]Trigger
}

// Failure is an error whose Type a flow's handler catches; Retryable: whether the step may be tried again.
type Failure struct {
	Type      string         `json:"type"`
	Message   string         `json:"-"`
	Retryable bool           `json:"retryable"`
	Details   map[string]any `json:"details,omitempty"`
}

func (failure *Failure) Error() string { return failure.Message }

// Call is one call of an action.
type Call struct {
	context.Context
	Action         string
	Run            string   `json:"run"`
	Flow           string   `json:"flow"`
	Step           string   `json:"step"`
	Attempt        int      `json:"attempt"`
	IdempotencyKey string   `json:"idempotency_key"`
	Deadline       *float64 `json:"deadline"`
	id             int64
	input          json.RawMessage
}

// Input reads the options of the step.
func (call *Call) Input(into any) error { return json.Unmarshal(call.input, into) }

// Log writes to the daemon's log; level is debug, info, warning or error.
func (call *Call) Log(level, message string) {
	notify("log", map[string]any{"call": call.id, "level": level, "message": message})
}

// Progress tells how far the call is, in percent, and what it does.
func (call *Call) Progress(percent float64, message string) {
	notify("progress", map[string]any{"call": call.id, "percent": percent, "message": message})
}

// Accepted is what became of an event that was published.
type Accepted struct {
	Event string `json:"event"`
	Runs  int    `json:"runs"`
}

var published struct {
	sync.Mutex
	last    int
	waiting map[string]chan message
}

// Publish sends an event by itself; its Type is needed. Returns when it is durable.
func Publish(ctx context.Context, event Event) (*Accepted, error) {
	answer := make(chan message, 1)
	published.Lock()
	published.last++
	id := fmt.Sprintf("p%d", published.last)
	if published.waiting == nil {
		published.waiting = map[string]chan message{}
	}
	published.waiting[id] = answer
	published.Unlock()
	defer func() {
		published.Lock()
		delete(published.waiting, id)
		published.Unlock()
	}()
	send(map[string]any{"id": id, "method": "publish", "params": map[string]any{"event": event}})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-answer:
		if len(got.Error) > 0 {
			var failed struct{ Message string }
			json.Unmarshal(got.Error, &failed)
			return nil, &Failure{Type: "plugin.refused", Message: failed.Message}
		}
		accepted := &Accepted{}
		return accepted, json.Unmarshal(got.Result, accepted)
	}
}

// Event is what a trigger sends.
type Event struct {
	Data    any            `json:"data"`
	Key     string         `json:"key,omitempty"`
	Type    string         `json:"type,omitempty"`
	Subject string         `json:"subject,omitempty"`
	Fields  map[string]any `json:"fields,omitempty"`
}

// Listen is an open trigger.
type Listen struct {
	context.Context
	id      int64
	options json.RawMessage
	cursor  json.RawMessage
	credit  int
	mutex   sync.Mutex
	news    *sync.Cond
	sent    int
	done    int
}

// Options reads the trigger's options.
func (listen *Listen) Options(into any) error { return json.Unmarshal(listen.options, into) }

// Cursor reads what came with the last event that is durable; false at the first start.
func (listen *Listen) Cursor(into any) bool {
	return len(listen.cursor) > 0 && string(listen.cursor) != "null" && json.Unmarshal(listen.cursor, into) == nil
}

// Emit sends an event; waits while too many are not durable yet.
func (listen *Listen) Emit(event Event, cursor any) error {
	listen.mutex.Lock()
	defer listen.mutex.Unlock()
	for listen.sent-listen.done >= listen.credit && listen.Err() == nil {
		listen.news.Wait()
	}
	if err := listen.Err(); err != nil {
		return err
	}
	listen.sent++
	notify("event", map[string]any{"listen": listen.id, "n": listen.sent, "event": event, "cursor": cursor})
	return nil
}

func (listen *Listen) acknowledged(number int) {
	listen.mutex.Lock()
	listen.done = number
	listen.mutex.Unlock()
	listen.news.Broadcast()
}

type message struct {
	ID     json.RawMessage `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// carry serves over something else than stdin and stdout, if it is told to; reactor_grpc.go sets it.
var carry = func(hash string, take func([]byte)) bool { return false }

var output sync.Mutex

// wire is the real stdout.
var wire = takeStdout()

func takeStdout() *os.File {
	real := os.Stdout
	os.Stdout = os.Stderr
	return real
}

// send gives the host a message.
var send = func(value map[string]any) {
	value["jsonrpc"] = "2.0"
	line, err := json.Marshal(value)
	if err != nil {
		line, _ = json.Marshal(map[string]any{"jsonrpc": "2.0", "id": value["id"],
			"error": map[string]any{"code": -32000, "message": err.Error()}})
	}
	output.Lock()
	defer output.Unlock()
	wire.Write(append(line, '\n'))
}

func notify(method string, params any) { send(map[string]any{"method": method, "params": params}) }

func fail(id any, err error) {
	failure := &Failure{Type: "plugin.failed", Message: err.Error()}
	errors.As(err, &failure)
	if errors.Is(err, context.Canceled) {
		failure.Type = "cancelled"
	}
	send(map[string]any{"id": id, "error": map[string]any{"code": -32000, "message": failure.Message, "data": failure}})
}

// Serve answers the host until it closes stdin; over gRPC where the environment says so.
func Serve(plugin Plugin) {
	executable, _ := os.Executable()
	manifest, err := os.ReadFile(filepath.Join(filepath.Dir(executable), "plugin.yaml"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	hash := fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))
	var mutex sync.Mutex
	cancels := map[int64]context.CancelFunc{}
	listening := map[int64]*Listen{}
	work := func(id int64, run func(context.Context) (any, error)) {
		ctx, cancel := context.WithCancel(context.Background())
		mutex.Lock()
		cancels[id] = cancel
		mutex.Unlock()
		go func() {
			result, err := run(ctx)
			mutex.Lock()
			delete(cancels, id)
			delete(listening, id)
			mutex.Unlock()
			cancel()
			if err != nil {
				fail(id, err)
			} else {
				send(map[string]any{"id": id, "result": result})
			}
		}()
	}
	take := func(line []byte) {
		var got message
		if json.Unmarshal(line, &got) != nil {
			return
		}
		if got.Method == "" {
			var asked string
			json.Unmarshal(got.ID, &asked)
			published.Lock()
			if answer := published.waiting[asked]; answer != nil {
				answer <- got
				delete(published.waiting, asked)
			}
			published.Unlock()
			return
		}
		var id int64
		json.Unmarshal(got.ID, &id)
		switch got.Method {
		case "handshake":
			send(map[string]any{"id": id, "result": map[string]any{"protocol": protocol, "manifest": hash}})
		case "act":
			var params struct {
				Action  string
				Input   json.RawMessage
				Context json.RawMessage
			}
			json.Unmarshal(got.Params, &params)
			work(id, func(ctx context.Context) (any, error) {
				action, known := plugin.Actions[params.Action]
				if !known {
					return nil, &Failure{Type: "plugin.unknown", Message: "there is no action " + params.Action}
				}
				call := &Call{}
				json.Unmarshal(params.Context, call)
				call.Context, call.Action, call.id, call.input = ctx, params.Action, id, params.Input
				return action(call)
			})
		case "listen":
			var params struct {
				Trigger string
				Options json.RawMessage
				Cursor  json.RawMessage
				Credit  int
			}
			json.Unmarshal(got.Params, &params)
			open := &Listen{id: id, options: params.Options, cursor: params.Cursor, credit: params.Credit}
			open.news = sync.NewCond(&open.mutex)
			mutex.Lock()
			listening[id] = open
			mutex.Unlock()
			work(id, func(ctx context.Context) (any, error) {
				trigger, known := plugin.Triggers[params.Trigger]
				if !known {
					return nil, &Failure{Type: "plugin.unknown", Message: "there is no trigger " + params.Trigger}
				}
				open.Context = ctx
				go func() { <-ctx.Done(); open.news.Broadcast() }()
				return nil, trigger(open)
			})
		case "ack":
			var params struct {
				Listen int64
				N      int
			}
			json.Unmarshal(got.Params, &params)
			mutex.Lock()
			open := listening[params.Listen]
			mutex.Unlock()
			if open != nil {
				open.acknowledged(params.N)
			}
		case "cancel":
			var params struct{ ID int64 }
			json.Unmarshal(got.Params, &params)
			mutex.Lock()
			cancel := cancels[params.ID]
			mutex.Unlock()
			if cancel != nil {
				cancel()
			}
		default:
			if got.Method != "" && len(got.ID) > 0 {
				send(map[string]any{"id": id, "error": map[string]any{"code": -32601, "message": "there is no method " + got.Method}})
			}
		}
	}
	if carry(hash, take) {
		return
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(make([]byte, 64*1024), 32*1024*1024)
	for input.Scan() {
		take(input.Bytes())
	}
}
