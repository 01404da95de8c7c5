// A client of the RPC port, built on HashiCorp's yamux and net-rpc-msgpackrpc as Debian ships them.
//
// It plays one scenario against the agent at -address (RPC) and -http, and ends with status 0 and the line "ok", or
// with status 1 and a sentence.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"io/ioutil"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/codec"
	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc"
	"github.com/hashicorp/yamux"
)

var (
	address = flag.String("address", "", "ip:port of the RPC port")
	api     = flag.String("http", "", "ip:port of the HTTP port")
)

const (
	nodeID   = "6a1f0c4e-0d6b-4c5e-9d2a-1f2e3d4c5b6a"
	secretID = "0b9c8d7e-6f5a-4b3c-8d1e-2f3a4b5c6d7e"
)

type Object map[string]interface{}

func main() {
	flag.Parse()
	scenarios := map[string]func(){
		"heartbeats": heartbeats, "blocking": blocking, "pipelined": pipelined, "half-close": halfClose,
		"streams": streams, "windows": windows, "reverse": reverse, "hostile": hostile, "old-modes": oldModes,
	}
	play, known := scenarios[flag.Arg(0)]
	if !known {
		fail("no scenario %q", flag.Arg(0))
	}
	go func() {
		time.Sleep(60 * time.Second)
		fail("not finished after a minute")
	}()
	play()
	fmt.Println("ok")
}

func fail(format string, values ...interface{}) {
	fmt.Printf(format+"\n", values...)
	os.Exit(1)
}

func check(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func expect(holds bool, format string, values ...interface{}) {
	if !holds {
		fail(format, values...)
	}
}

// MARK: Connections

func dial() net.Conn {
	conn, err := net.DialTimeout("tcp", *address, 5*time.Second)
	check("dial", err)
	return conn
}

// A session as a Nomad client opens it: first byte 06, then yamux.
func session() *yamux.Session {
	conn := dial()
	_, err := conn.Write([]byte{6})
	check("first byte", err)
	config := yamux.DefaultConfig()
	config.LogOutput = ioutil.Discard
	session, err := yamux.Client(conn, config)
	check("yamux", err)
	return session
}

// A stream of net-rpc: its own first byte is 01.
func stream(session *yamux.Session) net.Conn {
	stream, err := session.Open()
	check("open a stream", err)
	_, err = stream.Write([]byte{1})
	check("mode byte", err)
	return stream
}

func call(conn io.ReadWriteCloser, method string, arguments Object) (Object, error) {
	reply := Object{}
	err := msgpackrpc.CallWithCodec(msgpackrpc.NewClientCodec(conn), method, arguments, &reply)
	return reply, err
}

func must(conn io.ReadWriteCloser, method string, arguments Object) Object {
	reply, err := call(conn, method, arguments)
	check(method, err)
	return reply
}

func alive() {
	session := session()
	defer session.Close()
	must(stream(session), "Status.Ping", Object{})
}

func number(value interface{}) uint64 {
	switch value := value.(type) {
	case int64:
		return uint64(value)
	case uint64:
		return value
	}
	fail("%v (%T) is no number", value, value)
	return 0
}

func text(value interface{}) string {
	switch value := value.(type) {
	case []byte:
		return string(value)
	case string:
		return value
	}
	return fmt.Sprintf("%v", value)
}

func node(meta map[string]string) Object {
	return Object{"Region": "global", "Node": Object{
		"ID": nodeID, "SecretID": secretID, "Name": "go-client", "Datacenter": "dc1", "Status": "initializing",
		"HTTPAddr": "127.0.0.1:4646", "Meta": meta,
		"Attributes": map[string]string{"nomad.version": "1.6.0", "kernel.name": "linux"},
	}}
}

func register(conn io.ReadWriteCloser) { must(conn, "Node.Register", node(nil)) }

func status(text string) Object {
	return Object{"Region": "global", "NodeID": nodeID, "Status": text}
}

func one(id string) Object { return Object{"Region": "global", "NodeID": id} }

// MARK: Scenarios

func heartbeats() {
	session := session()
	conn := stream(session)
	answer := must(conn, "Node.Register", node(nil))
	expect(number(answer["HeartbeatTTL"]) >= 10e9, "TTL %v", answer["HeartbeatTTL"])
	for beat := 0; beat < 3; beat++ {
		answer = must(conn, "Node.UpdateStatus", status("ready"))
		ttl := time.Duration(number(answer["HeartbeatTTL"]))
		expect(ttl >= 10*time.Second && ttl <= 20*time.Second, "TTL %v", ttl)
		servers, isList := answer["Servers"].([]interface{})
		expect(isList && len(servers) == 1, "servers %v", answer["Servers"])
		entry := servers[0].(map[interface{}]interface{})
		found := ""
		for key, value := range entry {
			if text(key) == "RPCAdvertiseAddr" {
				found = text(value)
			}
		}
		expect(found == *address, "server list names %q", found)
	}
	read := must(conn, "Node.GetNode", one(nodeID))
	record := read["Node"].(map[interface{}]interface{})
	for key, value := range record {
		if text(key) == "Status" {
			expect(text(value) == "ready", "status %v", text(value))
		}
	}
	_, err := call(stream(session), "Node.UpdateStatus", Object{
		"Region": "global", "NodeID": "00000000-0000-0000-0000-000000000000", "Status": "ready"})
	expect(err != nil && strings.Contains(err.Error(), "node not found"), "unknown node: %v", err)
	_, err = call(stream(session), "Bogus.Method", Object{})
	expect(err != nil && err.Error() == "rpc: can't find service Bogus.Method", "unknown service: %v", err)
	_, err = call(stream(session), "Status.Bogus", Object{})
	expect(err != nil && err.Error() == "rpc: can't find method Status.Bogus", "unknown method: %v", err)
}

func blocking() {
	session := session()
	register(stream(session))
	conn := stream(session)
	answer := must(conn, "Node.GetNode", one(nodeID))
	index := number(answer["Index"])

	// Nothing changes: it comes back when its time is over, and not before.
	query := one(nodeID)
	query["MinQueryIndex"] = index
	query["MaxQueryTime"] = int64(700 * time.Millisecond)
	started := time.Now()
	answer = must(conn, "Node.GetNode", query)
	took := time.Since(started)
	expect(took >= 700*time.Millisecond && took < 2*time.Second, "quiet query took %v", took)
	expect(number(answer["Index"]) == index, "index %v", answer["Index"])

	// A change on another stream wakes it.
	query["MaxQueryTime"] = int64(20 * time.Second)
	go func() {
		time.Sleep(300 * time.Millisecond)
		must(stream(session), "Node.UpdateStatus", status("ready"))
	}()
	started = time.Now()
	answer = must(conn, "Node.GetNode", query)
	took = time.Since(started)
	expect(took >= 250*time.Millisecond && took < 5*time.Second, "woken query took %v", took)
	expect(number(answer["Index"]) > index, "index %v after %v", answer["Index"], index)

	// What clients hold open all day: no allocations, and never at once.
	allocations := Object{"Region": "global", "NodeID": nodeID, "SecretID": secretID, "AllowStale": true}
	answer = must(conn, "Node.GetClientAllocs", allocations)
	index = number(answer["Index"])
	expect(index >= 1, "allocation index %v", index)
	allocations["MinQueryIndex"] = index
	allocations["MaxQueryTime"] = int64(500 * time.Millisecond)
	started = time.Now()
	must(conn, "Node.GetClientAllocs", allocations)
	expect(time.Since(started) >= 500*time.Millisecond, "allocation query came back after %v", time.Since(started))
}

// All requests are written before any answer is read; a slow one does not let the quick ones pass.
func pipelined() {
	session := session()
	register(stream(session))
	conn := stream(session)
	slow := one(nodeID)
	slow["MinQueryIndex"] = number(must(conn, "Node.GetNode", one(nodeID))["Index"])
	slow["MaxQueryTime"] = int64(300 * time.Millisecond)
	const count = 500
	codec := msgpackrpc.NewClientCodec(conn)
	started := time.Now()
	for number := uint64(1); number <= count; number++ {
		method, body := "Status.Ping", Object{}
		if number == 1 {
			method, body = "Node.GetNode", slow
		}
		check("write", codec.WriteRequest(&rpc.Request{ServiceMethod: method, Seq: number}, body))
	}
	for number := uint64(1); number <= count; number++ {
		var response rpc.Response
		check("read header", codec.ReadResponseHeader(&response))
		expect(response.Seq == number && response.Error == "", "answer %d instead of %d: %q",
			response.Seq, number, response.Error)
		reply := Object{}
		check("read body", codec.ReadResponseBody(&reply))
	}
	took := time.Since(started)
	expect(took >= 300*time.Millisecond && took < 10*time.Second, "pipeline took %v", took)
}

// The 12 bytes in front of every yamux frame.
func header(version, kind byte, flags uint16, stream, length uint32) []byte {
	frame := []byte{version, kind}
	frame = binary.BigEndian.AppendUint16(frame, flags)
	frame = binary.BigEndian.AppendUint32(frame, stream)
	return binary.BigEndian.AppendUint32(frame, length)
}

const (
	data, window        = 0, 1
	syn, fin     uint16 = 1, 4
)

// The caller's side of the stream ends behind the request, in the same segment; the answer must still come, and then
// the server's end. The library cannot read behind its own end, so the frames are written by hand.
func halfClose() {
	conn := dial()
	frames := []byte{6}
	const count = 50
	for id := uint32(1); id < 2*count; id += 2 {
		var body []byte
		encoder := codec.NewEncoderBytes(&body, &codec.MsgpackHandle{})
		check("encode", encoder.Encode(Object{"Seq": uint64(id), "ServiceMethod": "Status.Leader"}))
		check("encode", encoder.Encode(Object{"Region": "global"}))
		frames = append(frames, header(0, window, syn, id, 0)...)
		frames = append(frames, header(0, data, fin, id, uint32(1+len(body)))...)
		frames = append(append(frames, 1), body...)
	}
	_, err := conn.Write(frames)
	check("write", err)
	check("deadline", conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	answers := map[uint32][]byte{}
	ended := map[uint32]bool{}
	for len(ended) < count {
		head := make([]byte, 12)
		_, err := io.ReadFull(conn, head)
		check("read a frame", err)
		id := binary.BigEndian.Uint32(head[4:])
		if head[1] == data {
			body := make([]byte, binary.BigEndian.Uint32(head[8:]))
			_, err = io.ReadFull(conn, body)
			check("read data", err)
			expect(!ended[id], "data behind the end of stream %d", id)
			answers[id] = append(answers[id], body...)
		}
		if binary.BigEndian.Uint16(head[2:])&fin != 0 {
			ended[id] = true
		}
	}
	for id := range ended {
		var response rpc.Response
		leader := ""
		decoder := codec.NewDecoderBytes(answers[id], &codec.MsgpackHandle{})
		check("decode header", decoder.Decode(&response))
		check("decode body", decoder.Decode(&leader))
		expect(response.Seq == uint64(id) && response.Error == "" && leader == *address, "%v %q", response, leader)
	}
	// A stream that ends within its request costs nobody else anything.
	session := session()
	half := stream(session)
	_, err = half.Write([]byte{0x82, 0xa3, 'S', 'e'})
	check("write", err)
	check("close", half.Close())
	must(stream(session), "Status.Ping", Object{})
}

// A thousand streams of one session, all open, all in use at once, twice.
func streams() {
	session := session()
	const count = 1000
	conns := make([]net.Conn, count)
	for i := range conns {
		conns[i] = stream(session)
	}
	expect(session.NumStreams() == count, "%d streams", session.NumStreams())
	for round := 0; round < 2; round++ {
		var all sync.WaitGroup
		for _, conn := range conns {
			all.Add(1)
			go func(conn net.Conn) {
				defer all.Done()
				must(conn, "Status.Ping", Object{})
				leader := ""
				err := msgpackrpc.CallWithCodec(
					msgpackrpc.NewClientCodec(conn), "Status.Leader", Object{"Region": "global"}, &leader)
				check("Status.Leader", err)
				expect(leader == *address, "leader %q", leader)
			}(conn)
		}
		all.Wait()
	}
	_, err := session.Ping()
	check("yamux ping", err)
	for _, conn := range conns {
		conn.Close()
	}
	check("go away", session.GoAway())
}

// Requests and answers of more than a stream's window of 256 KiB.
func windows() {
	session := session()
	meta := map[string]string{}
	for i := 0; i < 64; i++ {
		meta[fmt.Sprintf("key%02d", i)] = strings.Repeat(string(rune('a'+i%26)), 32<<10)
	}
	must(stream(session), "Node.Register", node(meta))
	var all sync.WaitGroup
	for reader := 0; reader < 4; reader++ {
		all.Add(1)
		go func() {
			defer all.Done()
			conn := stream(session)
			for round := 0; round < 3; round++ {
				record := must(conn, "Node.GetNode", one(nodeID))["Node"].(map[interface{}]interface{})
				size := 0
				for key, value := range record {
					if text(key) != "Meta" {
						continue
					}
					for name, content := range value.(map[interface{}]interface{}) {
						expect(text(content) == meta[text(name)], "meta %v came back changed", text(name))
						size += len(text(content))
					}
				}
				expect(size == 64*32<<10, "%d bytes of meta", size)
			}
		}()
	}
	all.Wait()
}

// ClientStats answers the question that the server asks over the session that this client opened.
type ClientStats struct{}

func (*ClientStats) Stats(arguments *Object, reply *Object) error {
	if text((*arguments)["NodeID"]) != nodeID {
		return fmt.Errorf("asked about %v", text((*arguments)["NodeID"]))
	}
	*reply = Object{"HostStats": Object{"Uptime": uint64(4711)}, "Index": uint64(0)}
	return nil
}

func reverse() {
	session := session()
	go func() {
		server := rpc.NewServer()
		check("register service", server.RegisterName("ClientStats", &ClientStats{}))
		for {
			conn, err := session.Accept()
			if err != nil {
				return
			}
			mode := []byte{0}
			_, err = io.ReadFull(conn, mode)
			check("mode byte of the server's stream", err)
			expect(mode[0] == 1, "the server's stream has mode %d", mode[0])
			go server.ServeCodec(msgpackrpc.NewServerCodec(conn))
		}
	}()
	register(stream(session))
	must(stream(session), "Node.UpdateStatus", status("ready"))
	for round := 0; round < 3; round++ {
		answer, err := http.Get("http://" + *api + "/v1/client/stats?node_id=" + nodeID)
		check("HTTP", err)
		body, err := ioutil.ReadAll(answer.Body)
		check("HTTP body", err)
		expect(answer.StatusCode == 200 && string(body) == `{"Uptime":4711}`, "%d %s", answer.StatusCode, body)
	}
	session.Close()
	for try := 0; ; try++ {
		answer, err := http.Get("http://" + *api + "/v1/client/stats?node_id=" + nodeID)
		check("HTTP", err)
		body, _ := ioutil.ReadAll(answer.Body)
		if answer.StatusCode == 404 && string(body) == "No path to node" {
			break
		}
		expect(try < 100, "without a connection: %d %s", answer.StatusCode, body)
		time.Sleep(50 * time.Millisecond)
	}
}

// The plain mode (first byte 01) and the old multiplexed one (03), whose streams have no mode byte.
func oldModes() {
	conn := dial()
	_, err := conn.Write([]byte{1})
	check("first byte", err)
	must(conn, "Status.Ping", Object{})
	must(conn, "Node.Register", node(nil))
	conn.Close()

	conn = dial()
	_, err = conn.Write([]byte{3})
	check("first byte", err)
	config := yamux.DefaultConfig()
	config.LogOutput = ioutil.Discard
	session, err := yamux.Client(conn, config)
	check("yamux", err)
	plain, err := session.Open()
	check("open", err)
	must(plain, "Status.Ping", Object{})
	session.Close()
}

// Whatever comes, only its own connection ends.
func hostile() {
	open := append([]byte{6}, header(0, 1, 1, 1, 0)...)
	request := func(bytes ...byte) []byte {
		whole := append([]byte{}, open...)
		return append(append(whole, header(0, 0, 0, 1, uint32(1+len(bytes)))...), append([]byte{1}, bytes...)...)
	}
	var deep []byte
	for i := 0; i < 100000; i++ {
		deep = append(deep, 0x91)
	}
	var encoded []byte
	check("encode", codec.NewEncoderBytes(&encoded, &codec.MsgpackHandle{}).Encode(
		Object{"Seq": uint64(1), "ServiceMethod": "Status.Ping"}))
	inputs := map[string][]byte{
		"no known first byte":            {0x7F, 1, 2, 3},
		"HTTP":                           []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":                            {4, 0x16, 3, 1, 2, 0, 1},
		"an empty Raft message":          {2, 9, 0xFF, 0xFF},
		"a wrong yamux version":          append([]byte{6}, header(9, 0, 1, 1, 0)...),
		"a wrong yamux type":             append([]byte{6}, header(0, 77, 1, 1, 0)...),
		"data for no stream":             append([]byte{6}, header(0, 0, 0, 5, 16)...),
		"data beyond the window":         append(append([]byte{}, open...), header(0, 0, 0, 1, 0xFFFFFFFF)...),
		"a window that overflows":        append(append([]byte{}, open...), header(0, 1, 0, 1, 0xFFFFFFFF)...),
		"the same stream twice":          append(append([]byte{}, open...), header(0, 1, 1, 1, 0)...),
		"a stream of the other side":     append([]byte{6}, header(0, 1, 1, 2, 0)...),
		"an unknown stream mode":         append(append([]byte{}, open...), append(header(0, 0, 0, 1, 1), 0x55)...),
		"MessagePack that is none":       request(0xC1, 0xC1, 0xC1),
		"a map of four billion":          request(0xDF, 0xFF, 0xFF, 0xFF, 0xFF),
		"a string of four gigabytes":     request(0x82, 0xA3, 'S', 'e', 'q', 1, 0xDB, 0xFF, 0xFF, 0xFF, 0xFF),
		"a body deeper than any":         request(append(append([]byte{}, encoded...), deep...)...),
		"a body that is no map":          request(append(append([]byte{}, encoded...), 0x2A)...),
		"a frame that never goes on":     append([]byte{6}, 0, 0, 0),
		"nothing at all":                 {},
		"a go-away with a bad code":      append([]byte{6}, header(0, 3, 0, 0, 99)...),
		"an ACK for a stream that isn't": append([]byte{6}, header(0, 1, 2, 9, 0)...),
	}
	var conns []net.Conn
	for name, bytes := range inputs {
		conn := dial()
		if _, err := conn.Write(bytes); err != nil && !strings.Contains(err.Error(), "reset") &&
			!strings.Contains(err.Error(), "pipe") {
			fail("%s: %v", name, err)
		}
		conns = append(conns, conn)
		alive()
	}
	// Half of them vanish without a word, the others stay; both are nobody else's business.
	for i, conn := range conns {
		if i%2 == 0 {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}
	alive()
	answer, err := http.Get("http://" + *api + "/v1/status/leader")
	check("HTTP", err)
	body, _ := ioutil.ReadAll(answer.Body)
	expect(string(body) == `"`+*address+`"`, "leader %s", body)
}
