// The chart of size and pause of the latest backups: where its bars and points are.
//
// The template chart draws it. Each of the two has a scale of its own; hovering says the numbers.

var chart_length = 40;
var chart_size = {width: 640, height: 120, top: 10, bottom: 4};

// Of backups from the newest to the oldest; it is drawn from left to right as time goes.
function chart_of(backups) {
    var shown = backups.filter(function(backup) {
        return is_number(backup.bytes);
    }).slice(0, chart_length).reverse();
    var most_bytes = largest(shown.map(function(backup) { return backup.bytes; }));
    var longest = largest(shown.map(pause_of));
    var step = chart_size.width / Math.max(shown.length, 20);
    return {
        width: chart_size.width, height: chart_size.height,
        most_bytes: most_bytes, longest: longest,
        bars: shown.map(function(backup, index) {
            var top = chart_height(backup.bytes, most_bytes);
            return {backup: backup, x: index * step + 1, width: step - 2, y: top,
                    height: chart_size.height - top};
        }),
        points: shown.map(function(backup, index) {
            return {backup: backup, x: (index + 0.5) * step,
                    y: chart_height(pause_of(backup), longest)};
        }).filter(function(point) {
            return is_number(pause_of(point.backup));
        })
    };
}

function chart_height(value, most) {
    var room = chart_size.height - chart_size.top - chart_size.bottom;
    return chart_size.height - chart_size.bottom - (most > 0 ? value / most * room : 0);
}

function largest(numbers) {
    return Math.max.apply(null, numbers.filter(is_number).concat(0));
}

// Of a cluster's backup the longest of a node.
function pause_of(backup) {
    var stop = backup.cut || backup.stop;
    return stop ? stop.pause_us : undefined;
}

function chart_line(points) {
    return points.map(function(point) {
        return point.x.toFixed(1) + ',' + point.y.toFixed(1);
    }).join(' ');
}
