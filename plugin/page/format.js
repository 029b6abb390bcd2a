// How things are written on the page. All of it is text, which the templates escape.

function escape_html(value) {
    var entities = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;'};
    return text_or_dash(value).replace(/[&<>"']/g, function(character) {
        return entities[character];
    });
}

function text_or_dash(value) {
    return value === undefined || value === null ? '-' : String(value);
}

function is_number(value) {
    return typeof value === 'number' && isFinite(value);
}

function fmt_count(count) {
    return is_number(count) ? count.toLocaleString('en-US') : '-';
}

// A sum over `all`, of which only some may be known.
function fmt_known(sum, known, all, format) {
    if (all > 0 && known === 0) return '-';
    return (known < all ? '\u2265 ' : '') + format(sum);
}

function fmt_plural(count, one, many) {
    return fmt_count(count) + ' ' + (count === 1 ? one : many);
}

// With one digit after the point below ten.
function fmt_short(number) {
    return number.toFixed(number < 9.95 && number > 0 ? 1 : 0);
}

function fmt_size(bytes) {
    if (!is_number(bytes)) return '-';
    var units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    var unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) {
        bytes /= 1024;
        unit++;
    }
    return (unit === 0 ? bytes.toFixed(0) : fmt_short(bytes)) + ' ' + units[unit];
}

function fmt_seconds(seconds) {
    if (!is_number(seconds)) return '-';
    if (seconds < 0.95) return Math.round(seconds * 1000) + ' ms';
    if (seconds < 60) return fmt_short(seconds) + ' s';
    if (seconds < 3600) {
        return Math.floor(seconds / 60) + ' min ' + Math.floor(seconds % 60) + ' s';
    }
    return Math.floor(seconds / 3600) + ' h ' + Math.floor(seconds % 3600 / 60) + ' min';
}

// The one unit that says enough.
function fmt_age(seconds) {
    if (!is_number(seconds)) return '-';
    var age = Math.max(0, seconds);
    if (age < 60) return Math.floor(age) + ' s';
    if (age < 3600) return Math.floor(age / 60) + ' min';
    if (age < 48 * 3600) return Math.floor(age / 3600) + ' h';
    return Math.floor(age / 86400) + ' d';
}

function fmt_pause(microseconds) {
    return is_number(microseconds) ? (microseconds / 1000).toFixed(1) + ' ms' : '-';
}

function two_digits(number) {
    return (number < 10 ? '0' : '') + number;
}

// In the browser's time zone, as the rest of the management UI.
function fmt_time(iso) {
    var date = new Date(iso);
    if (!iso || isNaN(date)) return text_or_dash(iso);
    return date.getFullYear() + '-' + two_digits(date.getMonth() + 1) + '-' +
        two_digits(date.getDate()) + ' ' + two_digits(date.getHours()) + ':' +
        two_digits(date.getMinutes()) + ':' + two_digits(date.getSeconds());
}

function seconds_since(iso) {
    return (Date.now() - new Date(iso)) / 1000;
}

function fmt_ago(iso) {
    return iso ? fmt_age(seconds_since(iso)) + ' ago' : '-';
}

// A value of which the page knows nothing but its name.
function fmt_value(value) {
    if (typeof value === 'boolean') return value ? 'yes' : 'no';
    if (Array.isArray(value)) return value.map(fmt_value).join(', ') || '-';
    if (value !== null && typeof value === 'object') {
        return Object.keys(value).map(function(key) {
            return fmt_label(key) + ' ' + fmt_value(value[key]);
        }).join(', ') || '-';
    }
    return text_or_dash(value);
}

function fmt_label(key) {
    return key.replace(/_/g, ' ');
}

function schedule_rows(schedule) {
    return [['Backup', schedule.backup || 'none'], ['Next', schedule.next_backup],
            ['Restore drill', schedule.drill || 'none'], ['Next', schedule.next_drill]]
        .map(function(row) {
            return [row[0], is_time(row[1]) ? fmt_time(row[1]) : row[1]];
        });
}

// Of what the broker's configuration says, as rows of a table of facts.
function fact_rows(values, otherwise) {
    var rows = Object.keys(values).filter(function(key) {
        return values[key] !== null && values[key] !== '';
    }).map(function(key) {
        return [fmt_label(key), fmt_setting(key, values[key])];
    });
    return rows.length > 0 ? rows : [['', otherwise]];
}

// The units are known by the name.
function fmt_setting(key, value) {
    if (is_time(value)) return fmt_time(value);
    if (key === 'rate_limit') return value > 0 ? fmt_size(value) + '/s' : 'none';
    if (is_number(value) && key === 'max_pause') return fmt_count(value) + ' ms';
    if (is_number(value) && /timeout$/.test(key)) return fmt_seconds(value / 1000);
    if (is_number(value) && /(_bytes|_space)$/.test(key)) return fmt_size(value);
    return fmt_value(value);
}

function is_time(value) {
    return typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(value);
}

function include(name, view) {
    return templates[name](view);
}
