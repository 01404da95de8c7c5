// Command originalserver stands in for a server of the original: Serf, Raft, yamux and net-rpc from the very libraries
// that it consists of, put together by its published behaviour (first byte, tags, bootstrap rule, reconciling,
// autopilot, forwarding, heartbeats), with the nodes as its only state. It is controlled over HTTP:
//
//	GET  /state       what it is and knows, see report()
//	GET  /members     its gossip pool with status and tags
//	GET  /applied     every applied entry: index, message type, hash of its bytes
//	GET  /nodes       every node: id, name, status, eligibility, create and modify index
//	GET  /health      what its autopilot thinks of each server
//	POST /join?address=A              joins a pool
//	POST /register?at=A,B&prefix=P&count=N   registers N clients at the RPC ports A and B in turn
//	POST /transfer?id=I&address=A     hands leadership to a server
//	POST /snapshot                    takes a snapshot and cuts the log
//
// It ends with status 2 at an entry that it cannot read, as the original does.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"hash/crc32"
	"io/ioutil"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb"
	"github.com/hashicorp/serf/serf"
)

const (
	controlPort = 4646
	rpcPort     = 4647
	serfPort    = 4648
)

type server struct {
	name, region, id, host, data string
	expect, protocol             int

	port  *port
	pool  *pool
	raft  *raft.Raft
	store *raftboltdb.BoltStore
	serf  *serf.Serf
	state *state

	events        chan serf.Event
	queue         chan serf.Member
	leaderChanges chan bool
	directory     *directory
	heartbeats    heartbeats
	// bootstrapped says that the first configuration is no longer this server's business.
	bootstrapped, hasWrittenFirst bool
	// isReady is 1 while this server leads and serves.
	isReady int32

	healthLock sync.Mutex
	health     map[string]*health

	workLock sync.Mutex
	dequeues struct {
		Held, Hasty, Failed int
		LastError           string
	}
	registered, refused int64
}

func main() {
	name := flag.String("name", "", "node name")
	region := flag.String("region", "global", "region")
	host := flag.String("host", "", "IP address of all ports")
	data := flag.String("data", "", "data directory")
	expect := flag.Int("expect", 0, "bootstrap_expect")
	protocol := flag.Int("protocol", 2, "Raft protocol version")
	trailing := flag.Uint64("trailing", 10240, "entries kept behind a snapshot")
	join := flag.String("join", "", "gossip addresses to join, separated by commas, tried again until one answers")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.SetOutput(os.Stderr)

	s := &server{
		name: *name, region: *region, host: *host, data: *data, expect: *expect, protocol: *protocol,
		pool: &pool{sessions: map[string]*session{}}, state: newState(), directory: newDirectory(),
		events: make(chan serf.Event, 256), queue: make(chan serf.Member, 32), leaderChanges: make(chan bool, 8),
		heartbeats: heartbeats{timers: map[string]*time.Timer{}}, health: map[string]*health{},
	}
	check("data directory", os.MkdirAll(*data+"/serf", 0o700))
	s.id = s.storedID()
	var err error
	s.port, err = listen(net.JoinHostPort(*host, strconv.Itoa(rpcPort)))
	check("listen", err)
	check("raft", s.startRaft(*trailing))
	check("serf", s.startSerf())
	for name, service := range map[string]interface{}{
		"Status": &Status{s}, "Region": &Region{s}, "Operator": &Operator{s}, "Eval": &Eval{s}, "Node": &NodeService{s},
	} {
		check("register "+name, s.port.services.RegisterName(name, service))
	}
	go s.work()
	go s.watchLeadership()
	go s.followGossip()
	go s.port.serve()
	if *join != "" {
		go s.joinUntil(strings.Split(*join, ","))
	}
	s.control(net.JoinHostPort(*host, strconv.Itoa(controlPort)))
}

func check(what string, err error) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

// joinUntil stops with the first success, as the original does, only sooner than every 30 s.
func (s *server) joinUntil(addresses []string) {
	for {
		if _, err := s.serf.Join(addresses, false); err == nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (s *server) startRaft(trailing uint64) error {
	var err error
	if s.store, err = raftboltdb.NewBoltStore(s.data + "/raft.db"); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStore(s.data, 2, os.Stderr)
	if err != nil {
		return err
	}
	transport := raft.NewNetworkTransport(layer{s.port}, 3, 10*time.Second, os.Stderr)
	config := raft.DefaultConfig()
	config.ProtocolVersion = raft.ProtocolVersion(s.protocol)
	config.LocalID = raft.ServerID(s.port.address)
	if s.protocol >= 3 {
		config.LocalID = raft.ServerID(s.id)
	}
	config.TrailingLogs = trailing
	config.ShutdownOnRemove = false
	config.NotifyCh = s.leaderChanges
	config.LogOutput = os.Stderr
	if s.expect == 1 {
		known, err := raft.HasExistingState(s.store, s.store, snapshots)
		if err != nil {
			return err
		}
		if !known {
			alone := raft.Configuration{Servers: []raft.Server{
				{ID: config.LocalID, Address: raft.ServerAddress(s.port.address)}}}
			if err := raft.BootstrapCluster(config, s.store, s.store, snapshots, transport, alone); err != nil {
				return err
			}
		}
	}
	s.raft, err = raft.NewRaft(config, s.state, s.store, s.store, snapshots, transport)
	return err
}

// storedID is the id of this data directory.
func (s *server) storedID() string {
	path := s.data + "/node-id"
	if known, err := ioutil.ReadFile(path); err == nil {
		return string(known)
	}
	id := newID()
	check("node-id", ioutil.WriteFile(path, []byte(id), 0o600))
	return id
}

func newID() string {
	var bytes [16]byte
	_, err := rand.Read(bytes[:])
	check("random", err)
	return fmt.Sprintf("%x-%x-%x-%x-%x", bytes[:4], bytes[4:6], bytes[6:8], bytes[8:10], bytes[10:])
}

func hashed(text string) uint32 { return crc32.ChecksumIEEE([]byte(text)) }
