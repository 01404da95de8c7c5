package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// control answers the tests. Every answer is JSON, and comes at once.
func (s *server) control(address string) {
	get := func(path string, answer func(*http.Request) interface{}) {
		http.HandleFunc(path, func(out http.ResponseWriter, request *http.Request) {
			json.NewEncoder(out).Encode(answer(request))
		})
	}
	post := func(path string, act func(query func(string) string) error) {
		http.HandleFunc(path, func(out http.ResponseWriter, request *http.Request) {
			go func() {
				if err := act(request.URL.Query().Get); err != nil {
					log.Printf("control: %s: %v", path, err)
				}
			}()
			fmt.Fprintln(out, "{}")
		})
	}
	get("/state", func(*http.Request) interface{} { return s.report() })
	get("/members", func(*http.Request) interface{} { return s.reportMembers() })
	get("/applied", func(*http.Request) interface{} {
		s.state.Lock()
		defer s.state.Unlock()
		lines := make([]string, len(s.state.log))
		for number, one := range s.state.log {
			lines[number] = fmt.Sprintf("%d %d %s", one.Index, one.Type, one.Hash)
		}
		return lines
	})
	get("/nodes", func(*http.Request) interface{} {
		s.state.Lock()
		defer s.state.Unlock()
		lines := []string{}
		for _, node := range s.state.sorted() {
			lines = append(lines, fmt.Sprintf(
				"%s %s %s %s %d %d", node.ID, node.Name, node.Status, node.SchedulingEligibility, node.CreateIndex,
				node.ModifyIndex))
		}
		return lines
	})
	get("/health", func(*http.Request) interface{} {
		s.healthLock.Lock()
		defer s.healthLock.Unlock()
		list := []health{}
		for _, one := range s.health {
			list = append(list, *one)
		}
		sort.Slice(list, func(a, b int) bool { return list[a].Name < list[b].Name })
		return list
	})
	post("/join", func(query func(string) string) error {
		_, err := s.serf.Join([]string{query("address")}, false)
		return err
	})
	post("/transfer", func(query func(string) string) error {
		id, address := raft.ServerID(query("id")), raft.ServerAddress(query("address"))
		return s.raft.LeadershipTransferToServer(id, address).Error()
	})
	post("/snapshot", func(func(string) string) error { return s.raft.Snapshot().Error() })
	post("/register", func(query func(string) string) error {
		count, err := strconv.Atoi(query("count"))
		if err != nil {
			return err
		}
		s.registerMany(strings.Split(query("at"), ","), query("prefix"), count)
		return nil
	})
	log.Fatal(http.ListenAndServe(address, nil))
}

func (s *server) report() interface{} {
	servers, _ := s.configuration()
	lines := []string{}
	for _, server := range servers {
		lines = append(lines, fmt.Sprintf("%s %s %s", server.ID, server.Address, server.Suffrage))
	}
	sort.Strings(lines)
	regions := []string{}
	s.directory.Lock()
	for region := range s.directory.regions {
		regions = append(regions, region)
	}
	strangers := fmt.Sprint(s.directory.strangers)
	s.directory.Unlock()
	sort.Strings(regions)
	s.workLock.Lock()
	dequeues := s.dequeues
	s.workLock.Unlock()
	s.state.Lock()
	defer s.state.Unlock()
	cluster := ""
	if s.state.cluster != nil {
		cluster = s.state.cluster.ClusterID
	}
	return map[string]interface{}{
		"ID": s.id, "Role": s.raft.State().String(), "Leader": string(s.raft.Leader()),
		"IsReady": atomic.LoadInt32(&s.isReady) == 1, "AppliedIndex": s.raft.AppliedIndex(),
		"LastIndex": s.raft.LastIndex(), "Applied": len(s.state.log), "Nodes": len(s.state.nodes),
		"Restores": s.state.restores, "Configuration": lines, "HasWrittenFirst": s.hasWrittenFirst,
		"Regions": regions, "Strangers": strangers, "Cluster": cluster,
		"Registered": atomic.LoadInt64(&s.registered), "Refused": atomic.LoadInt64(&s.refused), "Dequeues": dequeues,
	}
}

func (s *server) reportMembers() interface{} {
	list := []map[string]interface{}{}
	for _, member := range s.serf.Members() {
		tags := []string{}
		for key, value := range member.Tags {
			tags = append(tags, key+"="+value)
		}
		sort.Strings(tags)
		list = append(list, map[string]interface{}{
			"Name": member.Name, "Status": member.Status.String(), "Address": member.Addr.String(), "Tags": tags})
	}
	sort.Slice(list, func(a, b int) bool { return list[a]["Name"].(string) < list[b]["Name"].(string) })
	return list
}

const registrars = 8

// registerMany plays many clients: each registration goes to the servers in turn until one has confirmed it.
func (s *server) registerMany(addresses []string, prefix string, count int) {
	var numbers = make(chan int)
	var all sync.WaitGroup
	for worker := 0; worker < registrars; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for number := range numbers {
				request := NodeRegisterRequest{
					Node: &Node{
						ID: fmt.Sprintf("%08x-0000-0000-0000-%012x", number, hashed(prefix)), SecretID: newID(),
						Name: fmt.Sprintf("%s-%d", prefix, number), Datacenter: "dc1", Status: "ready",
						HTTPAddr:   "127.0.0.1:4646",
						Attributes: map[string]string{"nomad.version": build, "kernel.name": "linux"},
						Drivers: map[string]*DriverInfo{
							"exec": {Attributes: map[string]string{"a": "b"}, UpdateTime: time.Now()}},
					},
					WriteRequest: WriteRequest{Region: s.region},
				}
				for try := number; ; try++ {
					var reply NodeUpdateResponse
					request.Forwarded = false
					err := s.pool.call(addresses[try%len(addresses)], "Node.Register", &request, &reply)
					if err == nil {
						break
					}
					atomic.AddInt64(&s.refused, 1)
					time.Sleep(50 * time.Millisecond)
				}
				atomic.AddInt64(&s.registered, 1)
			}
		}()
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	all.Wait()
}
