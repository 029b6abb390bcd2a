// What the buttons do. A button names its action and what it is about in its attributes:
//     <button class="hb-button" data-action="verify" data-id="...">
//
// An action returns a promise; its button rests until that is kept and the page is loaded again.

var actions = {
    create: function() {
        return send('POST', '/backups');
    },
    cancel: function(button) {
        var kind = job_titles[button.getAttribute('data-kind')].toLowerCase();
        return confirm('Cancel this ' + kind + '?') ?
            send('DELETE', '/jobs/' + encodeURIComponent(button.getAttribute('data-job'))) :
            undefined;
    },
    verify: function(button) {
        return send('POST', path_of(id_of(button), '/verification'));
    },
    drill: function(button) {
        return send('POST', path_of(id_of(button), '/drill'));
    },
    download: function(button) {
        var path = path_of(id_of(button), '/download');
        return send('POST', path).then(function(answer) {
            if (answer.ok) save('api/hot-backup' + path + '?ticket=' +
                                encodeURIComponent(answer.body.ticket));
        });
    },
    definitions: function(button) {
        var id = id_of(button);
        return send('GET', path_of(id, '/definitions')).then(function(answer) {
            if (!answer.ok) return;
            var file = new Blob([answer.text], {type: 'application/json'});
            save(URL.createObjectURL(file), 'definitions-' + id + '.json');
        });
    },
    protect: function(button) {
        var reason = prompt('Why is this backup to be kept? A protected backup is neither ' +
                            'deleted nor pruned.', '');
        return reason === null ? undefined :
            send('PUT', path_of(id_of(button), '/protection'), {reason: reason});
    },
    unprotect: function(button) {
        return confirm('Remove the protection of backup ' + id_of(button) + '?') ?
            send('DELETE', path_of(id_of(button), '/protection')) : undefined;
    },
    remove: function(button) {
        var id = id_of(button);
        if (!confirm('Delete backup ' + id + '? It cannot be recovered.')) return undefined;
        return send('DELETE', path_of(id)).then(function(answer) {
            if (answer.ok && page.id === id) location.hash = '#/hot-backup';
        });
    },
    plan_prune: function() {
        var rules = read_rules();
        if (!rules) return undefined;
        page.prune = undefined;
        return send('POST', '/prune', Object.assign({dry_run: true}, rules))
            .then(function(answer) {
                if (answer.ok) page.prune = {rules: rules, decisions: answer.body.findings};
            });
    },
    prune: function() {
        var count = page.prune.decisions.filter(function(one) { return !one.keep; }).length;
        if (!confirm('Delete ' + fmt_plural(count, 'backup', 'backups') +
                     '? They cannot be recovered.')) return undefined;
        var rules = page.prune.rules;
        page.prune = undefined;
        return send('POST', '/prune', rules);
    },
    close_prune: function() {
        page.prune = undefined;
    },
    plan: function() {
        return plan_restore(page);
    },
    restore: function() {
        return start_restore(page);
    },
    sort: function(heading) {
        sort_listing(page.listings[heading.getAttribute('data-listing')],
                     heading.getAttribute('data-sort'));
    }
};

function id_of(button) {
    return button.getAttribute('data-id');
}

// An error is shown; the answer says whether there was one.
function send(method, path, body) {
    return request(method, path, body).then(function(answer) {
        if (answer.ok) {
            hide_popup_warn();
        } else {
            show_error(answer.error);
        }
        return answer;
    });
}

// As if a link to it had been clicked: what the page waits for goes on.
function save(url, name) {
    var link = document.createElement('a');
    link.href = url;
    link.download = name || '';
    document.body.appendChild(link);
    link.click();
    link.remove();
}

// ---------------------------------------------------------------------------------------------

// The rules that are filled in, as the API takes them; undefined after a complaint. None at all:
// those that are configured.
function read_rules() {
    var rules = {};
    var senseless = [];
    document.querySelectorAll('#hb-prune-form input').forEach(function(input) {
        var text = input.value.trim();
        if (text === '') return;
        if (/^[1-9]\d{0,5}$/.test(text)) {
            rules[input.name] = Number(text);
        } else {
            senseless.push(text);
        }
    });
    if (senseless.length === 0) return rules;
    show_error({message: 'a rule is a whole number from 1, not ' + senseless.join(', ')});
    return undefined;
}

// What is filled in, as the API takes it; undefined after a complaint.
function read_selection(restore) {
    var selection = {queues: [restore.vhost + '/' + restore.queue]};
    var name = document.getElementById('hb-as').value;
    if (name !== '') selection.as = name;
    if (document.getElementById('hb-definitions-only').checked) selection.definitions_only = true;
    var rate = document.getElementById('hb-rate').value.trim();
    if (rate === '') return selection;
    if (!(Number(rate) > 0)) {
        show_error({message: 'the rate limit is a number of MiB a second, not ' + rate});
        return undefined;
    }
    selection.rate_limit = Math.ceil(Number(rate) * 1048576);
    return selection;
}

function plan_restore(restore) {
    var selection = read_selection(restore);
    if (!selection) return undefined;
    restore.plan = undefined;
    restore.job = undefined;
    // The rate makes no difference to what is restored.
    var planned = Object.assign({}, selection);
    delete planned.rate_limit;
    return send('POST', path_of(restore.id, '/restore/plan'), planned).then(function(answer) {
        if (!answer.ok) return;
        restore.plan = answer.body.findings;
        restore.selection = selection;
    });
}

// Exactly what was planned, whatever is in the form by now.
function start_restore(restore) {
    return send('POST', path_of(restore.id, '/restore'), restore.selection).then(function(answer) {
        if (!answer.ok) return;
        restore.job = answer.body.id;
        restore.plan = undefined;
    });
}

// ---------------------------------------------------------------------------------------------

// A heading that opens what is only loaded then.
function open_section(heading) {
    var section = heading.parentNode;
    var name = section.getAttribute('data-opens');
    if (name && !page.opened[name]) {
        page.opened[name] = true;
        refresh();
    }
}

function act(button) {
    var promise = actions[button.getAttribute('data-action')](button);
    button.disabled = true;
    Promise.resolve(promise).then(refresh).then(function() {
        button.disabled = false;
    });
}

// On the document, for the elements come and go.
function listen() {
    $(document).on('click', '#main [data-action]', function(event) {
        event.preventDefault();
        act(this);
    });
    $(document).on('click', '#main [data-opens] h2', function() {
        open_section(this);
    });
    $(document).on('change', '#main [data-control]', function() {
        if (read_controls(page.listings[this.getAttribute('data-listing')], this)) {
            this.blur();
            refresh();
        }
    });
    // What was planned for something else does not stand beside it.
    $(document).on('input', '#hb-restore-form input', function() {
        if (page.plan) {
            page.plan = undefined;
            refresh();
        }
    });
}
