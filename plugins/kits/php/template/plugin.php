<?php
// A Reactor plugin: one JSON value on stdin, one on stdout.
$request = json_decode(stream_get_contents(STDIN), true);

function double(array $input, array $context): array
{
    return ['result' => ['result' => $input['value'] * 2]];
}

function ticks(array $options, $cursor): array
{
    $from = $cursor ?? 0;
    $to = min($from + ($options['period'] > 0 ? 1 : 100), $options['count']);
    $events = [];
    for ($n = $from + 1; $n <= $to; $n++) {
        $events[] = ['data' => ['n' => $n], 'key' => "$n"];
    }
    return ['events' => $events, 'cursor' => $to, 'more' => $options['period'] == 0 && $to < $options['count']];
}

$answer = match ($request['action'] ?? $request['trigger'] ?? null) {
    'double' => double($request['input'], $request['context']),
    'ticks' => ticks($request['options'], $request['cursor']),
    default => ['error' => ['type' => 'plugin.unknown', 'message' => 'there is no such action or trigger']],
};
echo json_encode($answer);
