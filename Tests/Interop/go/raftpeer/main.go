// Command raftpeer is one voter made of HashiCorp's Raft library, for tests of the wire: it keeps everything in memory,
// collects the commands that are applied, and is controlled over HTTP. Every control request is answered at once.
//
//	GET  /state                         role, leader's address, number of applied commands; one a line
//	GET  /entries                       the applied commands, one a line
//	POST /apply?prefix=P&count=N        proposes the commands P-0 ... P-(N-1), in order
//	POST /transfer?id=I&address=A       hands leadership to a server
//	POST /snapshot                      takes a snapshot and cuts the log
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streamByte announces Raft on a port that serves several protocols.
const streamByte = 0x02

// layer is TCP with the announcement in front of every stream.
type layer struct{ net.Listener }

func (l layer) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &announced{Conn: conn}, nil
}

func (l layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", string(address), timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{streamByte}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// announced swallows the announcement at the first read. Streams have one reader.
type announced struct {
	net.Conn
	isOpen bool
}

func (a *announced) Read(into []byte) (int, error) {
	if !a.isOpen {
		var first [1]byte
		if _, err := io.ReadFull(a.Conn, first[:]); err != nil {
			return 0, err
		}
		if first[0] != streamByte {
			return 0, errors.New("the stream is not announced as Raft")
		}
		a.isOpen = true
	}
	return a.Conn.Read(into)
}

// collector is the replicated state: the commands in the order of the log.
type collector struct {
	sync.Mutex
	entries []string
}

func (c *collector) Apply(entry *raft.Log) interface{} {
	c.Lock()
	defer c.Unlock()
	c.entries = append(c.entries, string(entry.Data))
	return nil
}

func (c *collector) copied() []string {
	c.Lock()
	defer c.Unlock()
	return append([]string(nil), c.entries...)
}

func (c *collector) Snapshot() (raft.FSMSnapshot, error) { return picture(c.copied()), nil }

// Restore reads commands with their lengths (four bytes, big endian) in front.
func (c *collector) Restore(source io.ReadCloser) error {
	defer source.Close()
	var entries []string
	for {
		var length uint32
		err := binary.Read(source, binary.BigEndian, &length)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		text := make([]byte, length)
		if _, err := io.ReadFull(source, text); err != nil {
			return err
		}
		entries = append(entries, string(text))
	}
	c.Lock()
	defer c.Unlock()
	c.entries = entries
	return nil
}

type picture []string

func (p picture) Persist(sink raft.SnapshotSink) error {
	for _, entry := range p {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(entry)))
		if _, err := sink.Write(append(length[:], entry...)); err != nil {
			sink.Cancel()
			return err
		}
	}
	return sink.Close()
}

func (p picture) Release() {}

func main() {
	id := flag.String("id", "", "server id")
	address := flag.String("address", "", "address of the Raft listener")
	control := flag.String("control", "", "address of the control listener")
	protocol := flag.Int("protocol", 3, "Raft protocol version")
	trailing := flag.Uint64("trailing", 10240, "entries kept behind a snapshot")
	bootstrap := flag.String("bootstrap", "", "id=address,... of a new cluster")
	flag.Parse()

	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(*id)
	config.ProtocolVersion = raft.ProtocolVersion(*protocol)
	config.TrailingLogs = *trailing
	config.ShutdownOnRemove = false

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	transport := raft.NewNetworkTransport(layer{listener}, 3, 10*time.Second, os.Stderr)
	store := raft.NewInmemStore()
	snapshots := raft.NewInmemSnapshotStore()
	state := &collector{}
	if *bootstrap != "" {
		var servers []raft.Server
		for _, item := range strings.Split(*bootstrap, ",") {
			parts := strings.SplitN(item, "=", 2)
			servers = append(servers, raft.Server{ID: raft.ServerID(parts[0]), Address: raft.ServerAddress(parts[1])})
		}
		configuration := raft.Configuration{Servers: servers}
		if err := raft.BootstrapCluster(config, store, store, snapshots, transport, configuration); err != nil {
			log.Fatal(err)
		}
	}
	node, err := raft.NewRaft(config, state, store, store, snapshots, transport)
	if err != nil {
		log.Fatal(err)
	}

	report := func(what string, future raft.Future) {
		if err := future.Error(); err != nil {
			log.Printf("%s: %v", what, err)
		}
	}
	http.HandleFunc("/state", func(out http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(out, "%s\n%s\n%d\n", node.State(), node.Leader(), len(state.copied()))
	})
	http.HandleFunc("/entries", func(out http.ResponseWriter, _ *http.Request) {
		io.WriteString(out, strings.Join(state.copied(), "\n"))
	})
	http.HandleFunc("/apply", func(out http.ResponseWriter, request *http.Request) {
		prefix := request.URL.Query().Get("prefix")
		count, err := strconv.Atoi(request.URL.Query().Get("count"))
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		go func() {
			for number := 0; number < count; number++ {
				future := node.Apply([]byte(fmt.Sprintf("%s-%d", prefix, number)), 5*time.Second)
				go report("apply", future)
			}
		}()
	})
	http.HandleFunc("/transfer", func(out http.ResponseWriter, request *http.Request) {
		to := request.URL.Query()
		go func() {
			id, address := raft.ServerID(to.Get("id")), raft.ServerAddress(to.Get("address"))
			report("transfer", node.LeadershipTransferToServer(id, address))
		}()
	})
	http.HandleFunc("/snapshot", func(out http.ResponseWriter, _ *http.Request) {
		go func() { report("snapshot", node.Snapshot()) }()
	})
	log.Fatal(http.ListenAndServe(*control, nil))
}
