package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/codec"
	"github.com/hashicorp/raft"
)

// applied is what is remembered of an entry, to compare it with what others applied.
type applied struct {
	Index uint64
	Type  byte
	Hash  string
}

// state is the replicated state. As in the original, an entry that it cannot read ends the process.
type state struct {
	sync.Mutex
	nodes     map[string]*Node
	nodeIndex uint64
	autopilot *AutopilotConfig
	scheduler *SchedulerConfig
	cluster   *ClusterMetadata
	// foreign holds snapshot records of tables that are not modelled.
	foreign []record
	log     []applied
	// restores counts the snapshots that replaced everything.
	restores int
	// changed is closed and replaced when the nodes change.
	changed chan struct{}
}

type record struct {
	kind byte
	body interface{}
}

var errNodeNotFound = errors.New("node not found")

func newState() *state { return &state{nodes: map[string]*Node{}, changed: make(chan struct{})} }

func (s *state) Apply(entry *raft.Log) interface{} {
	s.Lock()
	defer s.Unlock()
	hash := sha256.Sum256(entry.Data)
	s.log = append(s.log, applied{entry.Index, entry.Data[0], fmt.Sprintf("%x", hash[:8])})
	kind, body := entry.Data[0]&^ignoreUnknown, entry.Data[1:]
	read := func(into interface{}) {
		if err := decode(body, into); err != nil {
			panic(fmt.Sprintf("failed to decode entry %d of type %d: %v: %x", entry.Index, kind, err, body))
		}
	}
	switch kind {
	case nodeRegister:
		var request NodeRegisterRequest
		read(&request)
		s.register(entry.Index, request.Node)
		return nil
	case nodeDeregister:
		var request NodeDeregisterRequest
		read(&request)
		return s.remove(entry.Index, request.NodeID)
	case nodeBatchDeregister:
		var request NodeBatchDeregisterRequest
		read(&request)
		return s.remove(entry.Index, request.NodeIDs...)
	case nodeUpdateStatus:
		var request NodeUpdateStatusRequest
		read(&request)
		return s.change(entry.Index, request.NodeID, request.NodeEvent, func(node *Node) {
			node.Status, node.StatusUpdatedAt = request.Status, request.UpdatedAt
		})
	case nodeUpdateDrain:
		var request NodeUpdateDrainRequest
		read(&request)
		return s.change(entry.Index, request.NodeID, request.NodeEvent, func(node *Node) {
			drain(node, request.DrainStrategy, request.MarkEligible)
		})
	case batchDrain:
		var request BatchDrainRequest
		read(&request)
		for id, update := range request.Updates {
			update := update
			err := s.change(entry.Index, id, request.NodeEvents[id], func(node *Node) {
				drain(node, update.DrainStrategy, update.MarkEligible)
			})
			if err != nil {
				return err
			}
		}
		return nil
	case nodeEligibility:
		var request NodeEligibilityRequest
		read(&request)
		return s.change(entry.Index, request.NodeID, request.NodeEvent, func(node *Node) {
			node.SchedulingEligibility = request.Eligibility
		})
	case nodeEvents:
		var request NodeEventsRequest
		read(&request)
		for id, events := range request.NodeEvents {
			for _, event := range events {
				_ = s.change(entry.Index, id, event, func(*Node) {})
			}
		}
		return nil
	case autopilotConfig:
		var request AutopilotSetRequest
		read(&request)
		s.autopilot = &request.Config
		return nil
	case schedulerConfig:
		var request SchedulerSetRequest
		read(&request)
		s.scheduler = &request.Config
		return nil
	case clusterMetadata:
		var request ClusterMetadata
		read(&request)
		s.cluster = &request
		return nil
	case 46, 64, 65:
		var request map[string]interface{}
		read(&request)
		return nil
	}
	if entry.Data[0]&ignoreUnknown == 0 {
		panic(fmt.Sprintf("failed to apply entry %d: type %d", entry.Index, kind))
	}
	return nil
}

// MARK: Nodes

func (s *state) register(index uint64, node *Node) {
	if known := s.nodes[node.ID]; known != nil {
		node.CreateIndex, node.Events, node.LastDrain = known.CreateIndex, known.Events, known.LastDrain
		node.SchedulingEligibility, node.DrainStrategy = known.SchedulingEligibility, known.DrainStrategy
		if known.Status == "down" && node.Status != "down" {
			addEvent(index, node, &NodeEvent{Message: "Node re-registered", Subsystem: "Cluster",
				Timestamp: time.Unix(node.StatusUpdatedAt, 0)})
		}
	} else {
		node.CreateIndex = index
		addEvent(index, node, &NodeEvent{Message: "Node registered", Subsystem: "Cluster",
			Timestamp: time.Unix(node.StatusUpdatedAt, 0)})
	}
	node.ModifyIndex = index
	s.nodes[node.ID] = node
	s.touch(index)
}

// change gives a changed copy the old one's place: readers keep what they have.
func (s *state) change(index uint64, id string, event *NodeEvent, change func(*Node)) error {
	known := s.nodes[id]
	if known == nil {
		return errNodeNotFound
	}
	node := *known
	change(&node)
	if event != nil {
		addEvent(index, &node, event)
	}
	node.ModifyIndex = index
	s.nodes[id] = &node
	s.touch(index)
	return nil
}

func (s *state) remove(index uint64, ids ...string) error {
	for _, id := range ids {
		if s.nodes[id] == nil {
			return errNodeNotFound
		}
		delete(s.nodes, id)
	}
	s.touch(index)
	return nil
}

func (s *state) touch(index uint64) {
	s.nodeIndex = index
	close(s.changed)
	s.changed = make(chan struct{})
}

func addEvent(index uint64, node *Node, event *NodeEvent) {
	event.CreateIndex = index
	events := append(append([]*NodeEvent(nil), node.Events...), event)
	if len(events) > 10 {
		events = events[len(events)-10:]
	}
	node.Events = events
}

func drain(node *Node, strategy *DrainStrategy, markEligible bool) {
	node.DrainStrategy = strategy
	if strategy != nil {
		node.SchedulingEligibility = "ineligible"
	} else if markEligible {
		node.SchedulingEligibility = "eligible"
	}
}

// sorted is all nodes by id.
func (s *state) sorted() []*Node {
	nodes := make([]*Node, 0, len(s.nodes))
	for _, node := range s.nodes {
		nodes = append(nodes, node)
	}
	sort.Slice(nodes, func(a, b int) bool { return nodes[a].ID < nodes[b].ID })
	return nodes
}

// MARK: Snapshots

type indexRecord struct {
	Key   string
	Value uint64
}

type timeRecord struct {
	Index uint64
	Time  time.Time
}

// Snapshot has the records in the original's order; what is not modelled comes in between, as it came.
func (s *state) Snapshot() (raft.FSMSnapshot, error) {
	s.Lock()
	defer s.Unlock()
	records := []record{{5, []timeRecord{{}}}, {2, indexRecord{"nodes", s.nodeIndex}}}
	for _, node := range s.sorted() {
		records = append(records, record{0, node})
	}
	records = append(records, s.foreign...)
	if s.scheduler != nil {
		records = append(records, record{13, s.scheduler})
	}
	if s.cluster != nil {
		records = append(records, record{14, s.cluster})
	}
	var data bytes.Buffer
	encoder := codec.NewEncoder(&data, handle)
	if err := encoder.Encode(Empty{}); err != nil {
		return nil, err
	}
	for _, record := range records {
		data.WriteByte(record.kind)
		if err := encoder.Encode(record.body); err != nil {
			return nil, err
		}
	}
	return picture(data.Bytes()), nil
}

type picture []byte

func (p picture) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(p); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (p picture) Release() {}

func (s *state) Restore(source io.ReadCloser) error {
	defer source.Close()
	reader := bufio.NewReader(source)
	decoder := codec.NewDecoder(reader, handle)
	var header map[string]interface{}
	if err := decoder.Decode(&header); err != nil {
		return err
	}
	restored := newState()
	for {
		kind, err := reader.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := restored.take(kind, decoder); err != nil {
			return fmt.Errorf("record of type %d: %v", kind, err)
		}
	}
	s.Lock()
	defer s.Unlock()
	s.nodes, s.nodeIndex, s.foreign = restored.nodes, restored.nodeIndex, restored.foreign
	s.autopilot, s.scheduler, s.cluster = nil, restored.scheduler, restored.cluster
	s.log = nil
	s.restores++
	s.touch(s.nodeIndex)
	return nil
}

func (s *state) take(kind byte, decoder *codec.Decoder) error {
	switch {
	case kind == 0:
		node := &Node{}
		if err := decoder.Decode(node); err != nil {
			return err
		}
		s.nodes[node.ID] = node
	case kind == 2:
		var index indexRecord
		if err := decoder.Decode(&index); err != nil {
			return err
		}
		if index.Key == "nodes" {
			s.nodeIndex = index.Value
		}
	case kind == 5:
		var times []timeRecord
		return decoder.Decode(&times)
	case kind == 13:
		s.scheduler = &SchedulerConfig{}
		return decoder.Decode(s.scheduler)
	case kind == 14:
		s.cluster = &ClusterMetadata{}
		return decoder.Decode(s.cluster)
	case kind < 20 || kind == 64:
		var body interface{}
		if err := decoder.Decode(&body); err != nil {
			return err
		}
		s.foreign = append(s.foreign, record{kind, body})
	default:
		return errors.New("unrecognized snapshot type")
	}
	return nil
}
