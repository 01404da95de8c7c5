package main

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

// Status, Region, Operator and Eval: what servers ask each other, and what the HTTP interface asks.
type Status struct{ *server }

func (s *Status) Ping(_ *Empty, _ *Empty) error { return nil }

func (s *Status) Version(request *GenericRequest, reply *VersionResponse) error {
	reply.Build = build
	reply.Versions = map[string]int{"protocol": 1, "api.major": 1, "api.minor": 1}
	return nil
}

func (s *Status) Leader(request *GenericRequest, reply *string) error {
	if request.Region == "" {
		request.Region = s.region
	}
	if done, err := s.forward("Status.Leader", request, request, reply); done {
		return err
	}
	*reply = string(s.raft.Leader())
	return nil
}

func (s *Status) Peers(request *GenericRequest, reply *[]string) error {
	if request.Region == "" {
		request.Region = s.region
	}
	if done, err := s.forward("Status.Peers", request, request, reply); done {
		return err
	}
	servers, err := s.configuration()
	*reply = []string{}
	for _, server := range servers {
		*reply = append(*reply, string(server.Address))
	}
	return err
}

func (s *Status) RaftStats(_ *Empty, reply *RaftStats) error {
	if stats := s.ownStats(); stats != nil {
		*reply = *stats
		return nil
	}
	return errors.New("no stats")
}

func (s *server) ownStats() *RaftStats {
	stats := s.raft.Stats()
	index, errIndex := strconv.ParseUint(stats["last_log_index"], 10, 64)
	term, errTerm := strconv.ParseUint(stats["last_log_term"], 10, 64)
	if errIndex != nil || errTerm != nil {
		return nil
	}
	return &RaftStats{LastContact: stats["last_contact"], LastIndex: index, LastTerm: term}
}

func (s *Status) Members(_ *GenericRequest, reply *MembersResponse) error {
	reply.ServerName, reply.ServerRegion, reply.ServerDC = s.name, s.region, "dc1"
	for _, member := range s.serf.Members() {
		reply.Members = append(reply.Members, &Member{
			Name: member.Name, Addr: member.Addr, Port: member.Port, Tags: member.Tags, Status: member.Status.String(),
			ProtocolMin: member.ProtocolMin, ProtocolMax: member.ProtocolMax, ProtocolCur: member.ProtocolCur,
			DelegateMin: member.DelegateMin, DelegateMax: member.DelegateMax, DelegateCur: member.DelegateCur,
		})
	}
	return nil
}

func (s *Status) HasNodeConn(_ *NodeSpecificRequest, reply *NodeConnResponse) error {
	s.describe(&reply.QueryMeta)
	return nil
}

// MARK: Region and operator

type Region struct{ *server }

func (s *Region) List(_ *GenericRequest, reply *[]string) error {
	s.directory.Lock()
	defer s.directory.Unlock()
	*reply = []string{}
	for region := range s.directory.regions {
		*reply = append(*reply, region)
	}
	sort.Strings(*reply)
	return nil
}

type Operator struct{ *server }

func (s *Operator) RaftGetConfiguration(request *GenericRequest, reply *RaftConfigurationResponse) error {
	if done, err := s.forward("Operator.RaftGetConfiguration", request, request, reply); done {
		return err
	}
	servers, err := s.configuration()
	if err != nil {
		return err
	}
	names := map[string]*peer{}
	for _, peer := range s.servers() {
		names[peer.Address] = peer
	}
	for _, server := range servers {
		entry := &RaftServer{
			ID: string(server.ID), Node: "(unknown)", Address: string(server.Address), RaftProtocol: "unknown",
			Leader: server.Address == s.raft.Leader(), Voter: server.Suffrage == raft.Voter,
		}
		if peer := names[entry.Address]; peer != nil {
			entry.Node, entry.RaftProtocol = peer.Name, strconv.Itoa(peer.Raft)
		}
		reply.Servers = append(reply.Servers, entry)
	}
	return nil
}

func (s *Operator) RaftRemovePeerByID(request *RaftPeerRequest, reply *Empty) error {
	if done, err := s.forward("Operator.RaftRemovePeerByID", request, request, reply); done {
		return err
	}
	servers, err := s.configuration()
	if err != nil {
		return err
	}
	for _, server := range servers {
		if string(server.ID) == request.ID {
			return s.raft.RemoveServer(server.ID, 0, 0).Error()
		}
	}
	return fmt.Errorf("id %q was not found in the Raft configuration", request.ID)
}

func (s *Operator) AutopilotGetConfiguration(request *GenericRequest, reply *AutopilotConfig) error {
	if done, err := s.forward("Operator.AutopilotGetConfiguration", request, request, reply); done {
		return err
	}
	*reply = s.autopilotSettings()
	return nil
}

func (s *Operator) SchedulerGetConfiguration(request *GenericRequest, reply *SchedulerConfigResponse) error {
	if done, err := s.forward("Operator.SchedulerGetConfiguration", request, request, reply); done {
		return err
	}
	s.describe(&reply.QueryMeta)
	s.state.Lock()
	defer s.state.Unlock()
	reply.SchedulerConfig = s.state.scheduler
	return nil
}

func (s *Operator) ServerHealth(request *GenericRequest, reply *ServerHealthResponse) error {
	request.AllowStale = false
	if done, err := s.forward("Operator.ServerHealth", request, request, reply); done {
		return err
	}
	if s.minimumRaft() < autopilotMinimum {
		return errors.New("all servers must have raft_protocol set to 3 or higher to use this endpoint")
	}
	s.healthLock.Lock()
	defer s.healthLock.Unlock()
	reply.Healthy = true
	voters, healthy := 0, 0
	for _, one := range s.health {
		reply.Healthy = reply.Healthy && one.IsHealthy
		if one.IsVoter {
			voters++
			if one.IsHealthy {
				healthy++
			}
		}
		reply.Servers = append(reply.Servers, &ServerHealth{
			ID: one.ID, Name: one.Name, Address: one.Address, SerfStatus: 1, Version: build, Leader: one.ID == s.id,
			LastContact: one.lastContact, LastTerm: one.lastTerm, LastIndex: one.lastIndex, Healthy: one.IsHealthy,
			Voter: one.IsVoter, StableSince: one.StableSince,
		})
	}
	if tolerance := healthy - (voters/2 + 1); tolerance > 0 {
		reply.FailureTolerance = tolerance
	}
	return nil
}

// MARK: Evaluations

type Eval struct{ *server }

// Dequeue has nothing to give away, and takes its time to say so.
func (s *Eval) Dequeue(request *EvalDequeueRequest, reply *EvalDequeueResponse) error {
	if done, err := s.forward("Eval.Dequeue", request, request, reply); done {
		return err
	}
	if len(request.Schedulers) == 0 {
		return errors.New("dequeue requires at least one scheduler type")
	}
	if request.Timeout <= 0 || request.Timeout > time.Second {
		request.Timeout = time.Second
	}
	time.Sleep(request.Timeout)
	return nil
}

// work is a scheduler's worker: it asks the leader for evaluations without end.
func (s *server) work() {
	for {
		request := EvalDequeueRequest{
			Schedulers: []string{"service", "batch", "system", "_core"}, Timeout: 500 * time.Millisecond,
			SchedulerVersion: 1, WriteRequest: WriteRequest{Region: s.region},
		}
		var reply EvalDequeueResponse
		started := time.Now()
		err := (&Eval{s}).Dequeue(&request, &reply)
		s.workLock.Lock()
		switch {
		case err != nil:
			s.dequeues.Failed++
			s.dequeues.LastError = err.Error()
		case !request.Forwarded:
		case reply.Eval != nil || time.Since(started) < 400*time.Millisecond:
			s.dequeues.Hasty++
		default:
			s.dequeues.Held++
		}
		s.workLock.Unlock()
		if err != nil {
			time.Sleep(500 * time.Millisecond)
		}
	}
}
