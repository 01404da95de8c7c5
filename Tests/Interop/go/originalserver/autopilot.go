package main

import (
	"log"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/serf/serf"
)

const (
	healthInterval   = 2 * time.Second
	healthDeadline   = time.Second
	cleanUpInterval  = 10 * time.Second
	autopilotMinimum = 3
)

// health is what the autopilot thinks of one server.
type health struct {
	ID, Name, Address  string
	IsVoter, IsHealthy bool
	// Reason is empty for a healthy one.
	Reason              string
	StableSince         time.Time
	lastContact         time.Duration
	lastTerm, lastIndex uint64
	// Answers and Failures count the questions.
	Answers, Failures int
}

// autopilot asks all servers how they are, promotes those that are stable, and removes the dead.
func (s *server) autopilot(stop chan struct{}) {
	ask, clean := time.NewTicker(healthInterval), time.NewTicker(cleanUpInterval)
	defer ask.Stop()
	defer clean.Stop()
	for {
		select {
		case <-stop:
			s.healthLock.Lock()
			s.health = map[string]*health{}
			s.healthLock.Unlock()
			return
		case <-ask.C:
			if s.minimumRaft() >= autopilotMinimum {
				s.watchHealth()
			}
		case <-clean.C:
			if s.minimumRaft() >= autopilotMinimum {
				s.promote()
			}
			s.cleanUp()
		}
	}
}

// statsOf answers within the deadline of a round, or with nil and a reason.
func (s *server) statsOf(address string) (*RaftStats, string) {
	result := make(chan *RaftStats, 1)
	failure := make(chan string, 1)
	go func() {
		var stats RaftStats
		if err := s.pool.call(address, "Status.RaftStats", &Empty{}, &stats); err != nil {
			failure <- err.Error()
			return
		}
		result <- &stats
	}()
	select {
	case stats := <-result:
		return stats, ""
	case reason := <-failure:
		return nil, reason
	case <-time.After(healthDeadline):
		return nil, "no answer within a second"
	}
}

func (s *server) watchHealth() {
	servers, err := s.configuration()
	if err != nil {
		return
	}
	alive := map[string]*peer{}
	for _, peer := range s.servers() {
		if peer.Status == serf.StatusAlive {
			alive[peer.ID] = peer
		}
	}
	var lastTerm, lastIndex uint64
	if stats := s.ownStats(); stats != nil {
		lastTerm, lastIndex = stats.LastTerm, stats.LastIndex
	}
	settings := s.autopilotSettings()
	fresh := make([]*health, len(servers))
	var all sync.WaitGroup
	for number, server := range servers {
		one := &health{ID: string(server.ID), Address: string(server.Address), IsVoter: server.Suffrage == raft.Voter}
		fresh[number] = one
		peer := alive[one.ID]
		if peer == nil {
			one.Reason = "not alive in gossip"
			continue
		}
		one.Name = peer.Name
		all.Add(1)
		go func(isLeader bool) {
			defer all.Done()
			stats, reason := s.statsOf(peer.Address)
			if stats == nil {
				one.Reason = reason
				log.Printf("failed retrieving server health of %s: %s", peer.Name, reason)
				return
			}
			contact, err := time.ParseDuration(stats.LastContact)
			one.lastContact, one.lastTerm, one.lastIndex = contact, stats.LastTerm, stats.LastIndex
			switch {
			case stats.LastContact == "never" || err != nil && stats.LastContact != "0":
				one.Reason = "last contact " + stats.LastContact
			case !isLeader && contact > settings.LastContactThreshold:
				one.Reason = "last contact " + stats.LastContact
			case stats.LastTerm != lastTerm:
				one.Reason = "another last term"
			case stats.LastIndex+settings.MaxTrailingLogs < lastIndex:
				one.Reason = "too far behind"
			default:
				one.IsHealthy = true
			}
		}(one.ID == s.id)
	}
	all.Wait()
	s.healthLock.Lock()
	defer s.healthLock.Unlock()
	next := map[string]*health{}
	for _, one := range fresh {
		one.StableSince = time.Now()
		if old := s.health[one.ID]; old != nil {
			one.Answers, one.Failures = old.Answers, old.Failures
			if old.IsHealthy == one.IsHealthy {
				one.StableSince = old.StableSince
			} else if !one.IsHealthy {
				log.Printf("%s is not healthy: %s", one.Name, one.Reason)
			}
		}
		if one.IsHealthy {
			one.Answers++
		} else {
			one.Failures++
		}
		next[one.ID] = one
	}
	s.health = next
}

func (s *server) autopilotSettings() AutopilotConfig {
	s.state.Lock()
	defer s.state.Unlock()
	if s.state.autopilot != nil {
		return *s.state.autopilot
	}
	return defaultAutopilot()
}

// promote makes voters of those that have been healthy for long enough.
func (s *server) promote() {
	settings := s.autopilotSettings()
	s.healthLock.Lock()
	var ready []*health
	for _, one := range s.health {
		if !one.IsVoter && one.IsHealthy && time.Since(one.StableSince) >= settings.ServerStabilizationTime {
			ready = append(ready, one)
		}
	}
	s.healthLock.Unlock()
	for _, one := range ready {
		log.Printf("promoting server to voter: %s", one.Name)
		err := s.raft.AddVoter(raft.ServerID(one.ID), raft.ServerAddress(one.Address), 0, 0).Error()
		if err != nil {
			log.Printf("failed to promote %s: %v", one.Name, err)
		}
	}
}

// cleanUp removes failed and stale servers, all or none, and never half of the voters.
func (s *server) cleanUp() {
	settings := s.autopilotSettings()
	servers, err := s.configuration()
	if err != nil || !settings.CleanupDeadServers {
		return
	}
	stale := map[raft.ServerAddress]raft.Server{}
	voters := 0
	isVoter := map[raft.ServerAddress]bool{}
	for _, server := range servers {
		stale[server.Address] = server
		if server.Suffrage == raft.Voter {
			voters++
			isVoter[server.Address] = true
		}
	}
	var failed []*peer
	for _, peer := range s.servers() {
		address := raft.ServerAddress(peer.Address)
		delete(stale, address)
		if peer.Status != serf.StatusFailed {
			continue
		}
		if isVoter[address] {
			failed = append(failed, peer)
		} else {
			go s.serf.RemoveFailedNode(peer.Name)
		}
	}
	dead := len(failed) + len(stale)
	if dead == 0 || dead > (voters-1)/2 || voters-dead < int(settings.MinQuorum) {
		return
	}
	for _, peer := range failed {
		log.Printf("attempting removal of failed server %s", peer.Name)
		go s.serf.RemoveFailedNode(peer.Name)
	}
	for _, server := range stale {
		log.Printf("attempting removal of stale server %s", server.ID)
		if err := s.raft.RemoveServer(server.ID, 0, 0).Error(); err != nil {
			log.Printf("failed to remove %s: %v", server.ID, err)
		}
	}
}
