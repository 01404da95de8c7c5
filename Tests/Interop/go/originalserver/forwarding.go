package main

import (
	"errors"
	"math/rand"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	holdTimeout = 5 * time.Second
	holdJitter  = 312 * time.Millisecond
)

var errNoLeader = errors.New("No cluster leader")

// forward passes a request on where it belongs. It says true when the request is answered, or failed, by that.
func (s *server) forward(method string, request routed, arguments, reply interface{}) (bool, error) {
	switch request.target() {
	case "":
		return true, errors.New("missing region for target RPC")
	case s.region:
	default:
		peer := s.directory.anyOf(request.target())
		if peer == nil {
			return true, errors.New("No path to region")
		}
		request.markForwarded()
		return true, s.pool.call(peer.Address, method, arguments, reply)
	}
	if request.allowsStale() {
		return false, nil
	}
	end := time.Now().Add(holdTimeout)
	for {
		isLeader := s.raft.State() == raft.Leader
		if isLeader && atomic.LoadInt32(&s.isReady) == 1 {
			return false, nil
		}
		if leader := s.directory.byAddress(string(s.raft.Leader())); !isLeader && leader != nil {
			request.markForwarded()
			return true, s.pool.call(leader.Address, method, arguments, reply)
		}
		if time.Now().After(end) {
			if isLeader {
				return true, errors.New("Not ready to serve consistent reads")
			}
			return true, errNoLeader
		}
		time.Sleep(time.Duration(rand.Int63n(int64(holdJitter))))
	}
}

// describe fills in how fresh an answer is.
func (s *server) describe(meta *QueryMeta) {
	if s.raft.State() == raft.Leader {
		meta.LastContact, meta.KnownLeader = 0, true
	} else {
		meta.LastContact, meta.KnownLeader = time.Since(s.raft.LastContact()), s.raft.Leader() != ""
	}
}

const longestWait = 300 * time.Second

// wait returns when the nodes' index is beyond what the caller has, or his time is over.
func (s *server) wait(options *QueryOptions) uint64 {
	limit := options.MaxQueryTime
	if limit <= 0 || limit > longestWait {
		limit = longestWait
	}
	end := time.After(limit + time.Duration(rand.Int63n(int64(limit/16)+1)))
	for {
		s.state.Lock()
		index, changed := s.state.nodeIndex, s.state.changed
		s.state.Unlock()
		if options.MinQueryIndex == 0 || index > options.MinQueryIndex {
			return index
		}
		select {
		case <-changed:
		case <-end:
			return index
		}
	}
}
