package main

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// NodeService is what clients call, and what is asked about them.
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

// UpdateDrain ends the drain at once: there is no work on any node.
func (s *NodeService) UpdateDrain(request *NodeUpdateDrainRequest, reply *NodeUpdateResponse) error {
	if done, err := s.forward("Node.UpdateDrain", request, request, reply); done {
		return err
	}
	if request.NodeID == "" {
		return errors.New("missing node ID for drain update")
	}
	if request.NodeEvent != nil {
		return errors.New("node event must not be set")
	}
	known := s.node(request.NodeID)
	if known == nil {
		return errNodeNotFound
	}
	now := time.Now().UTC()
	message := "Node drain disabled"
	if strategy := request.DrainStrategy; strategy != nil {
		message = "Node drain strategy set"
		strategy.StartedAt = now
		if strategy.Deadline > 0 {
			strategy.ForceDeadline = now.Add(strategy.Deadline)
		}
	}
	request.UpdatedAt = now.Unix()
	request.NodeEvent = &NodeEvent{Message: message, Subsystem: "Drain", Timestamp: now}
	index, err := s.apply(nodeUpdateDrain, request)
	if err != nil {
		return err
	}
	reply.NodeModifyIndex, reply.Index = index, index
	if request.DrainStrategy == nil {
		return nil
	}
	done := BatchDrainRequest{
		Updates: map[string]*DrainUpdate{request.NodeID: {}}, UpdatedAt: now.Unix(), WriteRequest: request.WriteRequest,
		NodeEvents: map[string]*NodeEvent{
			request.NodeID: {Message: "Node drain complete", Subsystem: "Drain", Timestamp: now}},
	}
	_, err = s.apply(batchDrain, &done)
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

func (s *NodeService) GetAllocs(request *NodeSpecificRequest, reply *NodeAllocsResponse) error {
	if done, err := s.forward("Node.GetAllocs", request, request, reply); done {
		return err
	}
	s.describe(&reply.QueryMeta)
	reply.Index = 1
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
