// A Reactor plugin.
package main

import "time"

func double(call *Call) (any, error) {
	var input struct{ Value int64 }
	if err := call.Input(&input); err != nil {
		return nil, err
	}
	return map[string]any{"result": input.Value * 2}, nil
}

func ticks(listen *Listen) error {
	var options struct {
		Count  int
		Period float64
	}
	if err := listen.Options(&options); err != nil {
		return err
	}
	number := 0
	listen.Cursor(&number)
	for number < options.Count {
		number++
		if err := listen.Emit(Event{Data: map[string]any{"n": number}}, number); err != nil {
			return err
		}
		select {
		case <-listen.Done():
			return listen.Err()
		case <-time.After(time.Duration(options.Period * float64(time.Second))):
		}
	}
	<-listen.Done()
	return listen.Err()
}

func main() {
	Serve(Plugin{Actions: map[string]Action{"double": double}, Triggers: map[string]Trigger{"ticks": ticks}})
}
