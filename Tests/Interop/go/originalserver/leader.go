package main

import (
	"fmt"
	"log"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/serf/serf"
)

const (
	reconcileInterval = 60 * time.Second
	barrierTimeout    = 2 * time.Minute
	applyTimeout      = 30 * time.Second
)

// watchLeadership starts and stops the leader's loop.
func (s *server) watchLeadership() {
	var stop chan struct{}
	var done sync.WaitGroup
	for isLeader := range s.leaderChanges {
		if stop != nil {
			close(stop)
			done.Wait()
			stop = nil
			log.Printf("cluster leadership lost")
		}
		if isLeader {
			log.Printf("cluster leadership acquired")
			stop = make(chan struct{})
			done.Add(1)
			go func(stop chan struct{}) {
				defer done.Done()
				s.lead(stop)
			}(stop)
		}
	}
}

// lead is the leader's loop: barrier, establish, reconcile, then news of members.
func (s *server) lead(stop chan struct{}) {
	defer s.revoke()
	isEstablished := false
	autopilot := make(chan struct{})
	defer close(autopilot)
	for {
		tick := time.After(reconcileInterval)
		var queue chan serf.Member
		err := s.raft.Barrier(barrierTimeout).Error()
		if err == nil && !isEstablished {
			if err = s.establish(); err == nil {
				isEstablished = true
				go s.autopilot(autopilot)
			}
		}
		if err == nil {
			err = s.reconcile()
		}
		if err != nil {
			log.Printf("leader: %v", err)
		} else {
			queue = s.queue
		}
		for isWaiting := true; isWaiting; {
			select {
			case <-stop:
				return
			case <-tick:
				isWaiting = false
			case member := <-queue:
				if err := s.reconcileMember(member); err != nil {
					log.Printf("failed to reconcile member %s: %v", member.Name, err)
				}
			}
		}
	}
}

// establish writes what a new region lacks, and from then on requests are served.
func (s *server) establish() error {
	s.state.Lock()
	autopilot, scheduler, cluster := s.state.autopilot, s.state.scheduler, s.state.cluster
	s.state.Unlock()
	if autopilot == nil {
		request := AutopilotSetRequest{Config: defaultAutopilot()}
		if _, err := s.apply(autopilotConfig, &request); err != nil {
			return err
		}
	}
	if scheduler == nil {
		request := SchedulerSetRequest{}
		request.Config.SchedulerAlgorithm = "binpack"
		request.Config.PreemptionConfig.SystemSchedulerEnabled = true
		if _, err := s.apply(schedulerConfig, &request); err != nil {
			return err
		}
	}
	if cluster == nil {
		metadata := ClusterMetadata{ClusterID: newID(), CreateTime: time.Now().UnixNano()}
		if _, err := s.apply(clusterMetadata, &metadata); err != nil {
			return err
		}
	}
	atomic.StoreInt32(&s.isReady, 1)
	s.state.Lock()
	defer s.state.Unlock()
	for _, node := range s.state.sorted() {
		if node.Status != "down" {
			s.heartbeats.arm(node.ID, failoverTTL, s.expire)
		}
	}
	return nil
}

func (s *server) revoke() {
	atomic.StoreInt32(&s.isReady, 0)
	s.heartbeats.clear()
}

// apply proposes, and answers what the state answered.
func (s *server) apply(kind byte, message interface{}) (uint64, error) {
	data, err := encode(kind, message)
	if err != nil {
		return 0, err
	}
	future := s.raft.Apply(data, applyTimeout)
	if err := future.Error(); err != nil {
		return 0, err
	}
	if err, isError := future.Response().(error); isError {
		return 0, err
	}
	return future.Index(), nil
}

// MARK: Raft follows gossip

func (s *server) reconcile() error {
	for _, member := range s.serf.Members() {
		if err := s.reconcileMember(member); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) reconcileMember(member serf.Member) error {
	peer, err := asServer(member)
	if err != nil || peer.Region != s.region {
		return nil
	}
	switch member.Status {
	case serf.StatusAlive:
		return s.addPeer(peer)
	case serf.StatusLeft, reaped:
		return s.removePeer(peer)
	}
	return nil
}

func (s *server) configuration() ([]raft.Server, error) {
	future := s.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		return nil, err
	}
	return future.Configuration().Servers, nil
}

func (s *server) addPeer(peer *peer) error {
	if peer.Bootstrap {
		for _, member := range s.serf.Members() {
			if _, isRival := member.Tags["bootstrap"]; isRival && member.Name != peer.Name {
				log.Printf("skipping adding Raft peer because an existing peer is in bootstrap mode: %s", peer.Name)
				return nil
			}
		}
	}
	servers, err := s.configuration()
	if err != nil {
		return err
	}
	minimum := s.minimumRaft()
	id, address := raft.ServerID(peer.ID), raft.ServerAddress(peer.Address)
	for _, known := range servers {
		switch {
		case known.Address == address && (minimum < 2 || peer.Raft < 3 || known.ID == id):
			return nil
		case known.Address == address:
			log.Printf("removed server with duplicate address: %s", address)
		case known.ID == id:
			log.Printf("removed server with duplicate ID: %s", id)
		default:
			continue
		}
		if err := s.raft.RemoveServer(known.ID, 0, 0).Error(); err != nil {
			return fmt.Errorf("removing %s: %v", known.ID, err)
		}
	}
	switch {
	case minimum >= 3:
		log.Printf("adding %s as non-voter", peer.Name)
		return s.raft.AddNonvoter(id, address, 0, 0).Error()
	case minimum == 2 && peer.Raft >= 3:
		log.Printf("adding %s as voter by id", peer.Name)
		return s.raft.AddVoter(id, address, 0, 0).Error()
	default:
		log.Printf("adding %s as voter by address", peer.Name)
		return s.raft.AddPeer(address).Error()
	}
}

func (s *server) removePeer(peer *peer) error {
	servers, err := s.configuration()
	if err != nil {
		return err
	}
	minimum := s.minimumRaft()
	for _, known := range servers {
		if minimum >= 2 && known.ID == raft.ServerID(peer.ID) {
			log.Printf("removing server by ID: %s", known.ID)
			return s.raft.RemoveServer(known.ID, 0, 0).Error()
		}
		if known.Address == raft.ServerAddress(peer.Address) {
			log.Printf("removing server by address: %s", known.Address)
			return s.raft.RemovePeer(known.Address).Error()
		}
	}
	return nil
}

// MARK: Heartbeats of clients

const (
	minimumTTL     = 10 * time.Second
	heartbeatGrace = 10 * time.Second
	failoverTTL    = 300 * time.Second
	beatsPerSecond = 50
)

// heartbeats are the timers of a leader's clients.
type heartbeats struct {
	sync.Mutex
	timers map[string]*time.Timer
}

func (h *heartbeats) arm(id string, after time.Duration, expire func(string)) {
	h.Lock()
	defer h.Unlock()
	if known := h.timers[id]; known != nil {
		known.Stop()
	}
	h.timers[id] = time.AfterFunc(after, func() { expire(id) })
}

// reset answers the time to the next heartbeat.
func (h *heartbeats) reset(id string, expire func(string)) time.Duration {
	h.Lock()
	ttl := time.Duration(len(h.timers)) * time.Second / beatsPerSecond
	h.Unlock()
	if ttl < minimumTTL {
		ttl = minimumTTL
	}
	ttl += time.Duration(rand.Int63n(int64(ttl)))
	h.arm(id, ttl+heartbeatGrace, expire)
	return ttl
}

func (h *heartbeats) drop(id string) {
	h.Lock()
	defer h.Unlock()
	if known := h.timers[id]; known != nil {
		known.Stop()
		delete(h.timers, id)
	}
}

func (h *heartbeats) clear() {
	h.Lock()
	defer h.Unlock()
	for _, timer := range h.timers {
		timer.Stop()
	}
	h.timers = map[string]*time.Timer{}
}

func (s *server) expire(id string) {
	s.heartbeats.drop(id)
	if s.raft.State() != raft.Leader {
		return
	}
	log.Printf("node TTL expired: %s", id)
	request := NodeUpdateStatusRequest{
		NodeID: id, Status: "down", UpdatedAt: time.Now().Unix(), WriteRequest: WriteRequest{Region: s.region},
		NodeEvent: &NodeEvent{Message: "Node heartbeat missed", Subsystem: "Cluster", Timestamp: time.Now()},
	}
	if _, err := s.apply(nodeUpdateStatus, &request); err != nil {
		log.Printf("failed to mark %s down: %v", id, err)
	}
}
