package main

import (
	"errors"
	"fmt"
	"net"
	"sort"
	"strconv"
	"strings"
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

// MARK: Nodes

type NodeService struct{ *server }

func (s *NodeService) Register(request *NodeRegisterRequest, reply *NodeUpdateResponse) error {
	if done, err := s.forward("Node.Register", request, request, reply); done {
		return err
	}
	node := request.Node
	switch {
	case node == nil:
		return errors.New("missing node for client registration")
	case node.ID == "":
		return errors.New("missing node ID for client registration")
	case node.Datacenter == "":
		return errors.New("missing datacenter for client registration")
	case node.Name == "":
		return errors.New("missing node name for client registration")
	case len(node.Attributes) == 0:
		return errors.New("missing attributes for client registration")
	case node.SecretID == "":
		return errors.New("missing node secret ID for client registration")
	}
	if node.Status == "" {
		node.Status = "initializing"
	}
	if !isStatus(node.Status) {
		return errors.New("invalid status for node")
	}
	if node.SchedulingEligibility == "" {
		node.SchedulingEligibility = "eligible"
	}
	node.StatusUpdatedAt = time.Now().Unix()
	node.ComputedClass = "v1:1"
	if known := s.node(node.ID); known != nil && known.SecretID != "" && known.SecretID != node.SecretID {
		return errors.New("node secret ID does not match. Not registering node.")
	}
	index, err := s.apply(nodeRegister, request)
	if err != nil {
		return err
	}
	return s.answerHeartbeat(node.ID, node.Status, index, reply)
}

func (s *NodeService) UpdateStatus(request *NodeUpdateStatusRequest, reply *NodeUpdateResponse) error {
	if done, err := s.forward("Node.UpdateStatus", request, request, reply); done {
		return err
	}
	if request.NodeID == "" {
		return errors.New("missing node ID for client status update")
	}
	if !isStatus(request.Status) {
		return errors.New("invalid status for node")
	}
	known := s.node(request.NodeID)
	if known == nil {
		return errNodeNotFound
	}
	index := uint64(0)
	if known.Status != request.Status {
		request.UpdatedAt = time.Now().Unix()
		if known.Status == "down" && request.NodeEvent == nil {
			request.NodeEvent = &NodeEvent{
				Message: "Node reregistered by heartbeat", Subsystem: "Cluster", Timestamp: time.Now()}
		}
		var err error
		if index, err = s.apply(nodeUpdateStatus, request); err != nil {
			return err
		}
	}
	return s.answerHeartbeat(request.NodeID, request.Status, index, reply)
}

func (s *server) answerHeartbeat(id, status string, index uint64, reply *NodeUpdateResponse) error {
	if status != "down" {
		if s.raft.State() != raft.Leader {
			return errors.New("failed to reset heartbeat since server is not leader")
		}
		reply.HeartbeatTTL = s.heartbeats.reset(id, s.expire)
	}
	reply.NodeModifyIndex, reply.Index = index, index
	reply.LeaderRPCAddr = string(s.raft.Leader())
	s.state.Lock()
	reply.NumNodes = int32(len(s.state.nodes))
	s.state.Unlock()
	s.directory.Lock()
	defer s.directory.Unlock()
	for _, peer := range s.directory.local {
		reply.Servers = append(reply.Servers, &ServerInfo{
			RPCAdvertiseAddr: peer.Client, RPCMajorVersion: 1, RPCMinorVersion: 1, Datacenter: peer.Datacenter})
	}
	return nil
}

func (s *NodeService) Deregister(request *NodeDeregisterRequest, reply *NodeUpdateResponse) error {
	if done, err := s.forward("Node.Deregister", request, request, reply); done {
		return err
	}
	if s.node(request.NodeID) == nil {
		return errNodeNotFound
	}
	index, err := s.apply(nodeDeregister, request)
	reply.NodeModifyIndex, reply.Index = index, index
	s.heartbeats.drop(request.NodeID)
	return err
}

func (s *NodeService) UpdateEligibility(request *NodeEligibilityRequest, reply *NodeUpdateResponse) error {
	if done, err := s.forward("Node.UpdateEligibility", request, request, reply); done {
		return err
	}
	if s.node(request.NodeID) == nil {
		return errNodeNotFound
	}
	request.UpdatedAt = time.Now().Unix()
	request.NodeEvent = &NodeEvent{
		Message: "Node marked as " + request.Eligibility + " for scheduling", Subsystem: "Cluster", Timestamp: time.Now()}
	index, err := s.apply(nodeEligibility, request)
	reply.Index = index
	return err
}

func (s *NodeService) GetNode(request *NodeSpecificRequest, reply *SingleNodeResponse) error {
	if done, err := s.forward("Node.GetNode", request, request, reply); done {
		return err
	}
	s.describe(&reply.QueryMeta)
	reply.Index = s.wait(&request.QueryOptions)
	if known := s.node(request.NodeID); known != nil {
		node := *known
		node.SecretID = ""
		reply.Node, reply.Index = &node, node.ModifyIndex
	}
	return nil
}

func (s *NodeService) List(request *GenericRequest, reply *NodeListResponse) error {
	if done, err := s.forward("Node.List", request, request, reply); done {
		return err
	}
	s.describe(&reply.QueryMeta)
	reply.Index = s.wait(&request.QueryOptions)
	s.state.Lock()
	defer s.state.Unlock()
	reply.Nodes = []*NodeStub{}
	for _, node := range s.state.sorted() {
		if !strings.HasPrefix(node.ID, request.Prefix) {
			continue
		}
		host, _, _ := net.SplitHostPort(node.HTTPAddr)
		reply.Nodes = append(reply.Nodes, &NodeStub{
			Address: host, ID: node.ID, Datacenter: node.Datacenter, Name: node.Name, NodeClass: node.NodeClass,
			Version: node.Attributes["nomad.version"], Drain: node.DrainStrategy != nil, Status: node.Status,
			SchedulingEligibility: node.SchedulingEligibility, StatusDescription: node.StatusDescription,
			Drivers: node.Drivers, HostVolumes: node.HostVolumes, LastDrain: node.LastDrain,
			CreateIndex: node.CreateIndex, ModifyIndex: node.ModifyIndex,
		})
	}
	return nil
}

// GetClientAllocs has none, and never changes its mind.
func (s *NodeService) GetClientAllocs(request *NodeSpecificRequest, reply *ClientAllocsResponse) error {
	if done, err := s.forward("Node.GetClientAllocs", request, request, reply); done {
		return err
	}
	s.describe(&reply.QueryMeta)
	reply.Allocs, reply.MigrateTokens, reply.Index = map[string]uint64{}, map[string]string{}, 1
	if request.MinQueryIndex >= 1 {
		limit := request.MaxQueryTime
		if limit <= 0 || limit > longestWait {
			limit = longestWait
		}
		time.Sleep(limit)
	}
	return nil
}

func (s *NodeService) EmitEvents(request *NodeEventsRequest, reply *GenericResponse) error {
	if done, err := s.forward("Node.EmitEvents", request, request, reply); done {
		return err
	}
	if len(request.NodeEvents) == 0 {
		return errors.New("no node events given")
	}
	index, err := s.apply(nodeEvents, request)
	reply.Index = index
	return err
}

func (s *server) node(id string) *Node {
	s.state.Lock()
	defer s.state.Unlock()
	return s.state.nodes[id]
}

func isStatus(text string) bool { return text == "initializing" || text == "ready" || text == "down" }
