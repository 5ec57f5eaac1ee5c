// The carrier of reactor.go over gRPC; plugin.pb.go and plugin_grpc.pb.go are made from plugin.proto.
//
// The host sets REACTOR_PLUGIN_SOCKET and REACTOR_PLUGIN_TOKEN for a program that it starts (command: in plugin.yaml).
// To serve elsewhere (address:), set REACTOR_PLUGIN_LISTEN (host:port), REACTOR_PLUGIN_TOKEN, and for TLS the files
// REACTOR_PLUGIN_TLS_CERT, _KEY and, to know the hosts that may call, _CA.
package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"NAME/pb"
)

const maxMessage = 16 << 20

func init() { carry = serveGRPC }

// bridge turns calls into the messages that the kit knows, and back.
type bridge struct {
	pb.UnimplementedPluginServer
	hash  string
	take  func([]byte)
	said  chan *pb.AttendResponse
	mutex sync.Mutex
	last  int64
	open  map[int64]chan map[string]any
	calls map[int64]uint64
	asked map[uint64]string
}

func serveGRPC(hash string, take func([]byte)) bool {
	socket, place := os.Getenv("REACTOR_PLUGIN_SOCKET"), os.Getenv("REACTOR_PLUGIN_LISTEN")
	if socket == "" && place == "" {
		return false
	}
	made := &bridge{hash: hash, take: take, said: make(chan *pb.AttendResponse, 1000),
		open: map[int64]chan map[string]any{}, calls: map[int64]uint64{}, asked: map[uint64]string{}}
	send = made.send
	token := []byte("Bearer " + os.Getenv("REACTOR_PLUGIN_TOKEN"))
	check := func(ctx context.Context) error {
		given, _ := metadata.FromIncomingContext(ctx)
		if value := given.Get("authorization"); len(value) == 1 && subtle.ConstantTimeCompare([]byte(value[0]), token) == 1 {
			return nil
		}
		return status.Error(codes.Unauthenticated, "another token is needed")
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := check(ctx); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := check(stream.Context()); err != nil {
				return err
			}
			return next(server, stream)
		}),
	}
	network, where := "tcp", place
	if socket != "" {
		network, where = "unix", socket
	} else if os.Getenv("REACTOR_PLUGIN_TLS_CERT") != "" {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig())))
	}
	listener, err := net.Listen(network, where)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer(options...)
	pb.RegisterPluginServer(server, made)
	if socket != "" {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			server.Stop()
		}()
	}
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return true
}

func tlsConfig() *tls.Config {
	pair, err := tls.LoadX509KeyPair(os.Getenv("REACTOR_PLUGIN_TLS_CERT"), os.Getenv("REACTOR_PLUGIN_TLS_KEY"))
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if file := os.Getenv("REACTOR_PLUGIN_TLS_CA"); file != "" && err == nil {
		var known []byte
		known, err = os.ReadFile(file)
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		config.ClientCAs.AppendCertsFromPEM(known)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return config
}

func encode(value any) []byte {
	raw, _ := json.Marshal(value)
	return raw
}

func raw(given []byte, otherwise string) json.RawMessage {
	if len(given) == 0 {
		return json.RawMessage(otherwise)
	}
	return given
}

func eventMessage(event Event) *pb.Event {
	made := &pb.Event{Data: encode(event.Data), Type: event.Type, Subject: event.Subject}
	if event.Key != "" {
		made.Key = &event.Key
	}
	if event.Fields != nil {
		made.Fields = encode(event.Fields)
	}
	return made
}

func failureMessage(given any) *pb.Failure {
	told := given.(map[string]any)
	made := &pb.Failure{Message: fmt.Sprint(told["message"])}
	if data, known := told["data"].(*Failure); known {
		made.Type, made.Retryable = data.Type, data.Retryable
		if data.Details != nil {
			made.Details = encode(data.Details)
		}
	}
	return made
}

// begin has a number and a channel for what belongs to it.
func (made *bridge) begin(room int) (int64, chan map[string]any) {
	made.mutex.Lock()
	defer made.mutex.Unlock()
	made.last++
	made.open[made.last] = make(chan map[string]any, room)
	return made.last, made.open[made.last]
}

func (made *bridge) end(id int64) {
	made.mutex.Lock()
	delete(made.open, id)
	delete(made.calls, id)
	made.mutex.Unlock()
	made.tell(0, "cancel", map[string]any{"id": id})
}

func (made *bridge) tell(id int64, method string, params any) error {
	line, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	made.take(line)
	return nil
}

func (made *bridge) send(value map[string]any) {
	id, _ := value["id"].(int64)
	params, _ := value["params"].(map[string]any)
	made.mutex.Lock()
	defer made.mutex.Unlock()
	switch value["method"] {
	case "progress":
		call, _ := params["call"].(int64)
		percent, _ := params["percent"].(float64)
		report := &pb.Progress{Percent: &percent, Message: fmt.Sprint(params["message"]), Call: made.calls[call]}
		made.say(&pb.AttendResponse{Report: &pb.AttendResponse_Progress{Progress: report}})
		return
	case "publish":
		made.last++
		number, event := uint64(made.last), params["event"].(Event)
		made.asked[number], _ = value["id"].(string)
		publish := &pb.Publish{Id: number, Event: eventMessage(event)}
		go func() { made.said <- &pb.AttendResponse{Report: &pb.AttendResponse_Publish{Publish: publish}} }()
		return
	case "event":
		id, _ = params["listen"].(int64)
		value = params
	case "log":
		call, _ := params["call"].(int64)
		report := &pb.Log{Level: fmt.Sprint(params["level"]), Message: fmt.Sprint(params["message"]), Call: made.calls[call]}
		made.say(&pb.AttendResponse{Report: &pb.AttendResponse_Log{Log: report}})
		return
	}
	if channel := made.open[id]; channel != nil {
		channel <- value // never full: the credit bounds the events, and there is one answer
	}
}

// say leaves a report out where the host does not read them.
func (made *bridge) say(report *pb.AttendResponse) {
	select {
	case made.said <- report:
	default:
	}
}

// answered hands the kit what became of an event that it published.
func (made *bridge) answered(given *pb.Published) {
	made.mutex.Lock()
	id := made.asked[given.Id]
	delete(made.asked, given.Id)
	made.mutex.Unlock()
	answer := map[string]any{"id": id}
	if accepted := given.GetAccepted(); accepted != nil {
		answer["result"] = map[string]any{"event": accepted.Event, "runs": accepted.Runs}
	} else {
		answer["error"] = map[string]any{"message": given.GetFailure().GetMessage()}
	}
	made.take(encode(answer))
}

func (made *bridge) Handshake(context.Context, *pb.HandshakeRequest) (*pb.HandshakeResponse, error) {
	return &pb.HandshakeResponse{Protocol: protocol, Manifest: made.hash, Kit: "go/1"}, nil
}

func (made *bridge) Health(context.Context, *pb.HealthRequest) (*pb.HealthResponse, error) {
	return &pb.HealthResponse{Serving: true}, nil
}

func (made *bridge) Act(ctx context.Context, request *pb.ActRequest) (*pb.ActResponse, error) {
	id, answers := made.begin(1)
	defer made.end(id)
	made.mutex.Lock()
	made.calls[id] = request.Call
	made.mutex.Unlock()
	step := request.GetContext()
	told := map[string]any{"run": step.GetRun(), "flow": step.GetFlow(), "step": step.GetStep(), "attempt": step.GetAttempt(),
		"idempotency_key": step.GetIdempotencyKey()}
	if step != nil && step.Deadline != nil {
		told["deadline"] = *step.Deadline
	}
	params := map[string]any{"action": request.Action, "input": raw(request.Input, "{}"), "context": told}
	if err := made.tell(id, "act", params); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case answer := <-answers:
		if failed, isError := answer["error"]; isError {
			return &pb.ActResponse{Outcome: &pb.ActResponse_Failure{Failure: failureMessage(failed)}}, nil
		}
		result, err := json.Marshal(answer["result"])
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		return &pb.ActResponse{Outcome: &pb.ActResponse_Result{Result: result}}, nil
	}
}

func (made *bridge) Listen(stream pb.Plugin_ListenServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	given := first.GetOpen()
	if given == nil {
		return status.Error(codes.InvalidArgument, "the first request opens")
	}
	id, happened := made.begin(int(given.Credit) + 1)
	defer made.end(id)
	params := map[string]any{"trigger": given.Trigger, "options": raw(given.Options, "{}"), "cursor": raw(given.Cursor, "null"),
		"credit": given.Credit}
	if err := made.tell(id, "listen", params); err != nil {
		return err
	}
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			if durable := request.GetAcknowledge(); durable != nil {
				made.tell(0, "ack", map[string]any{"listen": id, "n": durable.Number})
			}
		}
	}()
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case message := <-happened:
			event, isEvent := message["event"].(Event)
			if !isEvent {
				if failed, isError := message["error"]; isError {
					return stream.Send(&pb.ListenResponse{Response: &pb.ListenResponse_Failure{Failure: failureMessage(failed)}})
				}
				return nil
			}
			number, _ := message["n"].(int)
			answer := &pb.Happened{Number: uint64(number), Event: eventMessage(event)}
			if message["cursor"] != nil {
				answer.Cursor = encode(message["cursor"])
			}
			if err := stream.Send(&pb.ListenResponse{Response: &pb.ListenResponse_Happened{Happened: answer}}); err != nil {
				return err
			}
		}
	}
}

func (made *bridge) Attend(stream pb.Plugin_AttendServer) error {
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			if given := request.GetPublished(); given != nil {
				made.answered(given)
			}
		}
	}()
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case report := <-made.said:
			if err := stream.Send(report); err != nil {
				return err
			}
		}
	}
}
