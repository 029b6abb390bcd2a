// The pages: what each asks the broker for, and what its template is given.
//
// A page loads its data itself, keeps it as `view` and draws it when all is there. While a job runs
// that it shows it does so each second, otherwise as often as the user has chosen for the whole UI.

// The page that is shown, or was shown last.
var page;

function open_page(template, attributes, load) {
    page = Object.assign({template: 'hot-backup-' + template, hash: location.hash,
                          load: user_administrator ? load : load_nothing,
                          listings: {}, view: undefined}, attributes);
    return load_page(page, draw_page);
}

// Whoever is no administrator gets here by the address only, and would be refused everything.
function load_nothing() {
    return Promise.resolve({forbidden: true});
}

function is_shown(some_page) {
    return some_page !== undefined && some_page === page && location.hash === some_page.hash;
}

// Loads it and has `draw` draw it. Not when the page has been left meanwhile, nor when one load has
// overtaken another: what was asked for last is what is shown.
function load_page(loaded, draw) {
    var number = loaded.asked = (loaded.asked || 0) + 1;
    return loaded.load(loaded).then(function(view) {
        loaded.answered = Math.max(loaded.answered || 0, number);
        loaded.loaded_at = Date.now();
        if (is_shown(loaded) && loaded.answered === number) {
            loaded.view = view;
            draw(loaded);
        }
    });
}

function refresh() {
    return is_shown(page) ? load_page(page, redraw_page) : Promise.resolve();
}

// A second has gone by.
function tick() {
    if (!is_shown(page) || page.view === undefined || page.asked > page.answered) return;
    var due = page.view.busy ? 1000 : timer_interval;
    if (due !== null && Date.now() - page.loaded_at >= due - 100) refresh();
}

function draw_page(drawn) {
    render({}, drawn.template, '#/hot-backup');
    // The UI would draw it again and again without new data.
    clearInterval(timer);
    report_connection(drawn.view);
    // The UI remembers which sections were open.
    $('#main [data-opens] h2').filter(function() {
        return $(this).next('.hider').is(':visible');
    }).each(function() {
        open_section(this);
    });
}

// Only what has changed is replaced: a button keeps its place under the pointer, a selection stays.
// What the user is writing into is left alone.
function redraw_page(drawn) {
    var scratch = document.createElement('template');
    scratch.innerHTML = templates[template_of(drawn)](drawn.view);
    var before = document.querySelectorAll('#main .updatable');
    var after = scratch.content.querySelectorAll('.updatable');
    if (before.length !== after.length) {
        draw_page(drawn);
        return;
    }
    for (var i = 0; i < before.length; i++) {
        var writing = before[i].querySelector('input:focus, select:focus');
        if (!writing) replace_markup(before[i], after[i]);
    }
    report_connection(drawn.view);
}

// Compares what was drawn, not what has become of it: what the user has unfolded stays so.
function replace_markup(before, after) {
    var markup = after.innerHTML;
    if ((before.hb_markup || before.innerHTML) !== markup) {
        before.replaceChildren.apply(before, after.childNodes);
    }
    before.hb_markup = markup;
}

function template_of(some_page) {
    return some_page.template.replace(/^hot-backup-/, '');
}

// In the UI's corner: when it was refreshed, or since when there is no answer.
function report_connection(view) {
    if (view.unreachable) {
        update_status('error');
    } else {
        last_successful_connect = new Date();
        update_status('ok');
    }
}

// ---------------------------------------------------------------------------------------------

function open_list() {
    var backups = make_listing('backups', '/backups', 'instant');
    open_page('list', {listings: {backups: backups}}, load_list);
}

function load_list(list) {
    return Promise.all([
        get_all({status: '/status', jobs: '/jobs',
                 latest: '/backups?page=1&page_size=' + chart_length}),
        load_listing(list.listings.backups)
    ]).then(function(answers) {
        var status = answers[0].status;
        return with_status(status, {
            jobs: items_of(answers[0].jobs),
            latest: items_of(answers[0].latest).filter(function(backup) {
                return !backup.unreadable;
            }),
            listing: list.listings.backups,
            backups: answers[1],
            prune: list.prune
        });
    });
}

function open_backup(id) {
    open_page('backup', {
        id: id, opened: {},
        listings: {queues: make_listing('queues', path_of(id, '/queues'), 'messages'),
                   files: make_listing('files', path_of(id, '/files'), 'size')}
    }, load_backup);
}

// What a backup holds never changes: it is asked for once. What is learnt of it later comes with
// the list of backups, which the broker has at hand.
function load_backup(backup) {
    var listings = backup.listings;
    return Promise.all([
        get_all({status: '/status', jobs: '/jobs',
                 list: '/backups?page=1&page_size=1&name=' + encodeURIComponent(backup.id)}),
        load_once(backup, 'description', path_of(backup.id)),
        load_part(listings.queues), load_part(listings.files)
    ]).then(function(answers) {
        var view = with_status(answers[0].status, {
            id: backup.id, backup: with_marks(answers[1], items_of(answers[0].list)[0]),
            queues: answers[2], files: answers[3], listings: listings,
            check: last_check(backup.id, items_of(answers[0].jobs))
        });
        return load_opened(backup, view);
    });
}

// The last one since the plugin was started: one that could not be done leaves no mark.
function last_check(id, jobs) {
    return jobs.filter(function(job) {
        return job.backup === id && is_over(job) && (job.kind === 'verify' || job.kind === 'drill');
    })[0];
}

var mark_names = ['protected', 'protection', 'verified', 'booted'];

// The description as it was loaded, with the marks as they are.
function with_marks(answer, listed) {
    if (!answer.ok || !listed || listed.backup !== answer.body.backup) return answer;
    var body = Object.assign({}, answer.body);
    mark_names.forEach(function(name) {
        body[name] = listed[name];
    });
    return Object.assign({}, answer, {body: body});
}

// What stands in the log and was found by checks is asked for when a mark has changed; the
// configuration when it is opened for the first time.
function load_opened(backup, view) {
    if (!view.backup.ok) return view;
    var marks = JSON.stringify(mark_names.map(function(name) { return view.backup.body[name]; }));
    if (backup.marks !== marks) {
        backup.marks = marks;
        forget(backup, 'log');
        forget(backup, 'findings');
    }
    return Promise.all([
        load_once(backup, 'log', path_of(backup.id, '/log')),
        load_once(backup, 'findings', path_of(backup.id, '/findings')),
        backup.opened.configuration ?
            load_once(backup, 'configuration', path_of(backup.id, '/configuration')) : undefined
    ]).then(function(answers) {
        view.log = answers[0];
        view.findings = answers[1];
        view.configuration = answers[2];
        return view;
    });
}

// An answer that is an error is asked for again.
function load_once(loaded, name, path) {
    loaded.once = loaded.once || {};
    if (loaded.once[name]) return Promise.resolve(loaded.once[name]);
    return request('GET', path).then(function(answer) {
        if (answer.ok) loaded.once[name] = answer;
        return answer;
    });
}

function forget(loaded, name) {
    if (loaded.once) delete loaded.once[name];
}

// The queues and files of a backup never change: they are asked for once, and when the user wants
// another part of them.
function load_part(listing) {
    var path = listing_path(listing);
    if (listing.answer && listing.answered === path) return Promise.resolve(listing.answer);
    return load_listing(listing).then(function(answer) {
        // What was refused is not asked for again and again.
        listing.answer = answer.ok || answer.status === 400 ? answer : undefined;
        listing.answered = listing_path(listing);
        return answer;
    });
}

// `plan` and `job` appear as the user goes on: first what would happen, then what does.
function open_restore(id, vhost, queue) {
    open_page('restore', {id: id, vhost: vhost, queue: queue, plan: undefined, job: undefined},
              load_restore);
}

function load_restore(restore) {
    var paths = {status: '/status'};
    if (restore.job) paths.job = '/jobs/' + restore.job;
    return get_all(paths).then(function(answers) {
        return with_status(answers.status, {
            id: restore.id, vhost: restore.vhost, queue: restore.queue,
            plan: restore.plan, selection: restore.selection, job: answers.job
        });
    });
}

// What every page shows of the node, added to what is its own.
function with_status(answer, view) {
    view.status = answer;
    view.running = answer.ok && answer.body.running || [];
    view.busy = view.running.length > 0;
    view.unreachable = answer.status === 0;
    return view;
}

// A list comes alone, or as a page of one.
function items_of(answer) {
    if (!answer.ok) return [];
    return Array.isArray(answer.body) ? answer.body : answer.body.items || [];
}

function running_job(view, kinds) {
    return view.running.filter(function(job) {
        return kinds.indexOf(job.kind) !== -1;
    })[0];
}
