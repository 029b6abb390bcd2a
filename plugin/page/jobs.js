// Jobs, in words.

var job_titles = {backup: 'Backup', verify: 'Verification', drill: 'Restore drill',
                  restore: 'Restore'};

function is_over(job) {
    return job.state !== 'running' && job.state !== 'requested';
}

function progress_text(job) {
    if (job.state === 'requested') return 'about to begin';
    var parts = [(job.phase || 'running').replace(' ' + job.backup, '')];
    if (copied_text(job)) parts.push(copied_text(job));
    if (job.bytes_per_second > 0) parts.push(fmt_size(job.bytes_per_second) + '/s');
    if (is_number(job.seconds_remaining)) {
        parts.push(fmt_seconds(job.seconds_remaining) + ' left');
    }
    return parts.join(', ');
}

// Of a job, or of one node's part in it.
function copied_text(job) {
    if (job.bytes_total > 0) return fmt_size(job.bytes_done) + ' of ' + fmt_size(job.bytes_total);
    return job.bytes_done > 0 ? fmt_size(job.bytes_done) : '';
}

// Whether all of a backup is in this node's repository.
function is_here(backup) {
    return (backup.parts || []).every(function(part) { return part.state === 'here'; });
}

// What missing nodes mean for a queue: docs/format.md, `affected`.
function effect_text(effect) {
    return {lost: 'lost: no member is in the backup',
            no_quorum: 'no quorum: it may lack messages, and starts only when it is shrunk',
            degraded: 'complete, with fewer members'}[effect] || effect;
}

function duration_of(job) {
    return (new Date(job.finished) - new Date(job.started || job.requested)) / 1000;
}

function status_colour(job) {
    return {done: 'green', failed: 'red', cancelled: 'grey'}[job.state] || 'yellow';
}

// The latest backup, and what was done last after it: a backup may be verified right away, and what
// it cost is to be seen nevertheless. The newest come first in `jobs`.
function latest_outcomes(jobs) {
    var over = jobs.filter(is_over);
    var backup = over.filter(function(job) { return job.kind === 'backup'; })[0];
    return over[0] === backup ? over.slice(0, 1) : over.slice(0, 1).concat(backup || []);
}

// What came of one that is over, besides an error.
function outcome_text(job, backups) {
    var result = job.result || {};
    switch (job.kind) {
    case 'backup':
        var made = backups.filter(function(backup) { return backup.backup === job.backup; })[0];
        if (made && made.stop) {
            return fmt_plural(made.parts.length, 'node', 'nodes') + ' stood still together, none for longer than ' +
                fmt_pause(made.stop.pause_us) + '.';
        }
        return made && made.cut ?
            'The node stood still for ' + fmt_pause(made.cut.pause_us) + '.' : '';
    case 'verify':
        return result.whole ? fmt_plural(result.files, 'file', 'files') + ', ' +
            fmt_size(result.bytes) + ' read again: every byte is as it was.' : '';
    case 'drill':
        return is_number(result.differences) ?
            'Booted RabbitMQ ' + text_or_dash(result.rabbitmq_version) + ' from it: ' +
            fmt_plural(result.differences, 'difference', 'differences') +
            (result.not_proven > 0 ? ', ' + fmt_count(result.not_proven) + ' not proven' : '') +
            '.' : '';
    case 'restore':
        return is_number(result.messages) ?
            fmt_plural(result.messages, 'message', 'messages') + ' delivered' +
            (result.earlier > 0 ? ', ' + fmt_count(result.earlier) + ' of an earlier run' : '') +
            (result.doubtful > 0 ? ', ' + fmt_count(result.doubtful) + ' may be there twice' : '') +
            '; ' + fmt_plural(result.declared, 'definition', 'definitions') + ' declared.' : '';
    }
    return '';
}

function messages_of(backup) {
    var messages = backup.messages;
    return messages ? messages.ready + messages.unacknowledged : undefined;
}

// How it was checked, and what came of it: [{text, colour, when}].
function checks_of(backup) {
    var checks = [];
    function add(check, good, text) {
        if (!check) return;
        checks.push({text: text, colour: check.outcome === good ? 'green' : 'red',
                     when: check.when});
    }
    var verified = backup.verified;
    var booted = backup.booted;
    add(verified, 'intact', verified && (verified.outcome === 'intact' ? 'checksums' : 'damaged'));
    add(booted, 'same', booted && (booted.outcome === 'same' ? 'booted' : 'boots, but differs'));
    return checks;
}

// What the last check of one sort has found: `check` is the name of its mark.
function findings_of(answer, check) {
    if (!answer || !answer.ok) return [];
    return answer.body.filter(function(one) {
        return one.check === check;
    }).map(function(one) {
        return one.finding;
    });
}

// What a check or a restore had to say: one line of text each.
function finding_text(finding) {
    switch (finding.message_type) {
    case 'error':
        return finding.message;
    case 'damage':
        return finding.what + ' ' + finding.name + ': ' + finding.reason;
    case 'difference':
    case 'note':
        return finding.kind + (finding.name ? ' ' + finding.name : '') +
            (finding.vhost ? ' in vhost ' + finding.vhost : '') + ': ' +
            fmt_label(finding.aspect || '') + ' expected ' + fmt_value(finding.expected) +
            ', found ' + fmt_value(finding.found) +
            (finding.reason ? ' (' + finding.reason + ')' : '');
    case 'left_out':
        return 'queue ' + finding.queue + ' in vhost ' + finding.vhost + ' is left out: ' +
            finding.reason;
    case 'changed':
        return 'queue ' + finding.queue + ' in vhost ' + finding.vhost + ': ' + finding.reason;
    case 'definition':
        return finding.kind + ' ' + finding.name +
            (finding.kind === 'vhost' ? '' : ' in vhost ' + finding.vhost) +
            (finding.detail ? ': ' + finding.detail : '');
    }
    return Object.keys(finding).filter(function(key) {
        return key !== 'message_type';
    }).map(function(key) {
        return fmt_label(key) + ' ' + fmt_value(finding[key]);
    }).join(', ');
}

// What a dry run says, sorted by what it means.
function plan_of(lines) {
    function of_state(state) {
        return lines.filter(function(line) {
            return line.message_type === 'definition' && line.state === state;
        });
    }
    function of_type(type) {
        return lines.filter(function(line) { return line.message_type === type; });
    }
    return {queues: of_type('queue'), left_out: of_type('left_out'), changed: of_type('changed'),
            missing: of_state('missing'), differing: of_state('differs'),
            withheld: of_state('withheld')};
}
