package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/rpc"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/codec"
	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc"
	"github.com/hashicorp/raft"
	"github.com/hashicorp/yamux"
	"os"
)

// First bytes of connections, and of streams of the second multiplexed mode.
const (
	byteRPC         = 0x01
	byteRaft        = 0x02
	byteMultiplex   = 0x03
	byteTLS         = 0x04
	byteStreaming   = 0x05
	byteMultiplexV2 = 0x06

	handshakeTimeout = 5 * time.Second
	dialTimeout      = 10 * time.Second
)

func yamuxConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.LogOutput = os.Stderr
	return config
}

// port is the one TCP port: RPC in all its forms, and Raft.
type port struct {
	listener net.Listener
	address  string
	services *rpc.Server
	// raft takes the connections that announce Raft.
	raft chan net.Conn
	done chan struct{}
}

func listen(address string) (*port, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &port{listener, address, rpc.NewServer(), make(chan net.Conn), make(chan struct{})}, nil
}

func (p *port) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			log.Fatalf("accept: %v", err)
		}
		go p.handle(conn)
	}
}

func (p *port) handle(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		conn.Close()
		return
	}
	conn.SetReadDeadline(time.Time{})
	switch first[0] {
	case byteRPC:
		p.serveRPC(conn)
	case byteRaft:
		p.raft <- conn
	case byteMultiplex:
		p.serveSession(conn, p.serveRPC)
	case byteMultiplexV2:
		p.serveSession(conn, nil)
	case byteStreaming:
		refuseStreaming(conn)
	default:
		log.Printf("unrecognized RPC byte: %v", first[0])
		conn.Close()
	}
}

// serveSession reads a stream's mode byte before it accepts the next stream. Whoever delays it delays the session.
func (p *port) serveSession(conn net.Conn, plain func(net.Conn)) {
	defer conn.Close()
	session, err := yamux.Server(conn, yamuxConfig())
	if err != nil {
		log.Printf("yamux: %v", err)
		return
	}
	defer session.Close()
	for {
		stream, err := session.Accept()
		if err != nil {
			if err != io.EOF {
				log.Printf("multiplex connection from %v: %v", conn.RemoteAddr(), err)
			}
			return
		}
		if plain != nil {
			go plain(stream)
			continue
		}
		var mode [1]byte
		if _, err := io.ReadFull(stream, mode[:]); err != nil {
			log.Printf("mode byte from %v: %v", conn.RemoteAddr(), err)
			return
		}
		switch mode[0] {
		case byteRPC:
			go p.serveRPC(stream)
		case byteStreaming:
			go refuseStreaming(stream)
		default:
			log.Printf("unrecognized stream mode %v from %v", mode[0], conn.RemoteAddr())
			return
		}
	}
}

func (p *port) serveRPC(conn net.Conn) {
	defer conn.Close()
	codec := msgpackrpc.NewCodecFromHandle(true, true, conn, handle)
	for {
		if err := p.services.ServeRequest(codec); err != nil {
			if err != io.EOF && !errors.Is(err, net.ErrClosed) && err.Error() != "EOF" {
				log.Printf("RPC from %v: %v", conn.RemoteAddr(), err)
			}
			return
		}
	}
}

// refuseStreaming knows no streaming method.
func refuseStreaming(conn net.Conn) {
	defer conn.Close()
	var header struct{ Method string }
	if codec.NewDecoder(conn, handle).Decode(&header) == nil {
		answer := struct{ Error string }{"Unknown rpc method: \"" + header.Method + "\""}
		codec.NewEncoder(conn, handle).Encode(answer)
	}
}

// MARK: Raft

// layer gives Raft its connections.
type layer struct{ *port }

func (l layer) Accept() (net.Conn, error) {
	select {
	case conn := <-l.raft:
		return conn, nil
	case <-l.done:
		return nil, errors.New("Raft RPC layer closed")
	}
}

func (l layer) Addr() net.Addr { return l.listener.Addr() }

func (l layer) Close() error {
	close(l.done)
	return nil
}

func (l layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return dial(string(address), timeout, byteRaft)
}

func dial(address string, timeout time.Duration, first byte) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{first}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// MARK: Calls to others

// pool keeps one session per address, and its idle streams.
type pool struct {
	sync.Mutex
	sessions map[string]*session
}

type session struct {
	*yamux.Session
	idle []*stream
}

type stream struct {
	net.Conn
	codec rpc.ClientCodec
}

// call fails with `rpc error: ` in front, as the original's does.
func (p *pool) call(address, method string, arguments, reply interface{}) error {
	session, stream, err := p.acquire(address)
	if err != nil {
		return errors.New("rpc error: failed to get conn: " + err.Error())
	}
	if err := msgpackrpc.CallWithCodec(stream.codec, method, arguments, reply); err != nil {
		stream.Close()
		if _, isAnswer := err.(rpc.ServerError); !isAnswer {
			p.forget(address, session)
		}
		return errors.New("rpc error: " + err.Error())
	}
	p.Lock()
	defer p.Unlock()
	session.idle = append(session.idle, stream)
	return nil
}

func (p *pool) acquire(address string) (*session, *stream, error) {
	for attempt := 0; ; attempt++ {
		known, err := p.session(address)
		if err != nil {
			return nil, nil, err
		}
		p.Lock()
		if count := len(known.idle); count > 0 {
			idle := known.idle[count-1]
			known.idle = known.idle[:count-1]
			p.Unlock()
			return known, idle, nil
		}
		p.Unlock()
		opened, err := known.Open()
		if err == nil {
			_, err = opened.Write([]byte{byteRPC})
		}
		if err == nil {
			return known, &stream{opened, msgpackrpc.NewCodecFromHandle(true, true, opened, handle)}, nil
		}
		p.forget(address, known)
		if attempt > 0 {
			return nil, nil, err
		}
	}
}

func (p *pool) session(address string) (*session, error) {
	p.Lock()
	defer p.Unlock()
	if known := p.sessions[address]; known != nil && !known.IsClosed() {
		return known, nil
	}
	p.Unlock()
	conn, err := dial(address, dialTimeout, byteMultiplexV2)
	var opened *yamux.Session
	if err == nil {
		opened, err = yamux.Client(conn, yamuxConfig())
	}
	p.Lock()
	if err != nil {
		return nil, err
	}
	if known := p.sessions[address]; known != nil && !known.IsClosed() {
		opened.Close()
		return known, nil
	}
	p.sessions[address] = &session{Session: opened}
	return p.sessions[address], nil
}

func (p *pool) forget(address string, session *session) {
	p.Lock()
	defer p.Unlock()
	if p.sessions[address] == session {
		delete(p.sessions, address)
	}
	session.Close()
}
